"""Names that a package exports and loads only when they are asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from importlib import import_module


def on_demand(package: str, names: Collection[str], modules: Iterable[str]) -> Callable[[str], object]:
    """Give the ``__getattr__`` of a package.

    Args:
        package: its name.
        names: that it exports.
        modules: of it that they stand in, looked through in this order.

    Raises:
        AttributeError: by what is given, for any other name.
    """

    def get(name: str) -> object:
        if name in names:
            for module in modules:
                if hasattr(found := import_module(f".{module}", package), name):
                    return vars(sys.modules[package]).setdefault(name, getattr(found, name))
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
