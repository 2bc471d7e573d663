"""Owners and their passwords in a file that Apache's ``htpasswd`` writes, and their groups in an ``AuthGroupFile``.

Nothing is ever written to either. Both are read again when they change; a bad new file is an outage, not the old one.
"""

from __future__ import annotations

from .directory import HtpasswdDirectory

__all__ = ["HtpasswdDirectory"]
