"""Each owner's own credential for an upstream, encrypted at rest.

Whoever has the database or the file, but not the keys, learns whose credentials there are, for which upstream, of which
kind and since when; nothing of the credentials themselves. Whoever can write there can remove a credential, or put an
older one of the same owner, upstream and kind back; neither another one nor another owner's.
"""

from __future__ import annotations

from .opening import VAULTS, open_vault
from .rotation import Rotated, rotate
from .rows import Rows, Sealed
from .sealed import SealedVault
from .sealing import Keyring
from .upstreams import normalised

__all__ = ["VAULTS", "Keyring", "Rotated", "Rows", "Sealed", "SealedVault", "normalised", "open_vault", "rotate"]
