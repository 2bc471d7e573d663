"""Move tokens from one store to another, so that nothing is lost, doubled or brought back to life.

:func:`copy` reads both sides in the order of their ids, side by side, so that any number of tokens needs little memory:
once to judge all before anything is written, once to write, once to see that it is there. What is there already is
passed over; so whatever broke off is simply run again.
"""

from __future__ import annotations

from .copying import Moved, Progress, Step, copy
from .exports import Export, NewExport
from .judging import Records
from .totals import Total

__all__ = ["Export", "Moved", "NewExport", "Progress", "Records", "Step", "Total", "copy"]
