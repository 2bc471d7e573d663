"""Tokens that are signed elsewhere (JWTs): no call for each, and no secret here."""

from __future__ import annotations

from .reader import JWTReader

__all__ = ["JWTReader"]
