"""What the views of a Flask application demand, as its decorators have said, and a path that each rule serves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import takewhile
from typing import Any, Protocol, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from werkzeug.routing import BaseConverter, Rule, ValidationError
from werkzeug.routing.converters import NumberConverter

View: TypeAlias = Callable[..., Any]  # Any: a view takes and gives what it likes
Demand: TypeAlias = frozenset[str] | None
"""Scopes that are demanded, all of them; empty: any valid token. None: nothing is."""


class Judge(Protocol):
    """The gate of an application, which views are registered with."""

    def judge(self, endpoint: str, view: View) -> None:
        """See to it that the policy knows what a view demands."""


_NOTHING: frozenset[str] = frozenset()
# By identity, and not as attributes: functools.wraps would copy those to whatever is put around.
_GUARDS: WeakKeyDictionary[View, frozenset[str]] = WeakKeyDictionary()
_ASKED: WeakKeyDictionary[View, frozenset[str]] = WeakKeyDictionary()
_JUDGES: WeakKeyDictionary[View, WeakKeyDictionary[Judge, set[str]]] = WeakKeyDictionary()


def guarding(guard: View, view: View, scopes: frozenset[str]) -> None:
    """Remember that a guard was put around a view.

    What it is around counts as asked for as well, wherever it is registered: of a route below the guard, which got the
    view without it, the demand holds too.

    Raises:
        ConfigurationError: when the view is registered with a gate that does not know a scope.
    """
    _GUARDS[guard] = scopes
    for layer in _layers(view):
        try:
            _ASKED[layer] = _ASKED.get(layer, _NOTHING) | scopes
        except TypeError:  # it can't be referred to weakly, or not be hashed
            continue
        for judge, endpoints in list(_JUDGES.get(layer, {}).items()):
            for endpoint in endpoints:
                judge.judge(endpoint, layer)


def judged_later(judge: Judge, endpoint: str, view: View) -> None:
    """Have a view judged again once more is asked for of it."""
    try:
        _JUDGES.setdefault(view, WeakKeyDictionary()).setdefault(judge, set()).add(endpoint)
    except TypeError:
        return


def demanded(view: View, method: str = "") -> Demand:
    """Give what a view demands: by all that is around it, and of a class by the method as well.

    Args:
        view: as it is registered.
        method: upper case.
    """
    found = [_found(_ASKED, view), *(_found(_GUARDS, layer) for layer in _layers(view))]
    if isinstance(cls := getattr(view, "view_class", None), type):
        found += [demanded(handler) for handler in _handlers(cls, method)]
    return joined(found)


def demanded_by(views: Iterable[View], methods: Iterable[str]) -> Demand:
    """Give what any of some functions demands, of any of some methods."""
    return joined([demanded(view, method) for method in (*methods, "") for view in views])


def enforced(function: View) -> Demand:
    """Give what a function demands whenever it is called: what is around a guard may not always call it."""
    return joined(takewhile(lambda scopes: scopes is not None, (_found(_GUARDS, each) for each in _layers(function))))


def joined(demands: Iterable[Demand]) -> Demand:
    """Give all that several demand."""
    found = [scopes for scopes in demands if scopes is not None]
    return _NOTHING.union(*found) if found else None


def _layers(view: object) -> Iterator[View]:
    """Give a view and what it wraps, outermost first."""
    seen: set[int] = set()
    while callable(view) and id(view) not in seen:
        seen.add(id(view))
        yield view
        inner = view.func if isinstance(view, partial) else getattr(view, "__func__", None)
        view = inner or getattr(view, "__wrapped__", None)


def _found(table: WeakKeyDictionary[View, frozenset[str]], view: View) -> Demand:
    try:
        return table.get(view)
    except TypeError:
        return None


def _handlers(cls: type, method: str) -> Iterator[View]:
    """Give what a class answers a method with."""
    names = ("dispatch_request", method.lower())
    if method == "HEAD" and not hasattr(cls, "head"):
        names = ("dispatch_request", "get")  # as MethodView does
    yield from (handler for name in names if callable(handler := getattr(cls, name, None)))


_WORD = "any-word"
_PART = re.compile(r"<(?:[^<>]*:)?([^<>:]+)>")


def examples(rule: Rule) -> tuple[str, ...]:
    """Give paths that a rule serves, the first with an unlikely word for what may be any.

    The others differ in one place each, where the rules of a policy could tell them apart.
    """
    places = {name: _texts(rule._converters.get(name)) for name in _PART.findall(rule.rule)}
    first = {name: texts[0] for name, texts in places.items()}
    taken = [first, *({**first, name: text} for name, texts in places.items() for text in texts[1:])]
    paths = [_filled(rule.rule, texts) for texts in taken]
    if rule.strict_slashes is False:  # else what differs in the last slash is sent to the other, or is not there
        paths += [path.rstrip("/") or "/" if path.endswith("/") else f"{path}/" for path in paths]
    return tuple(dict.fromkeys(paths))


def _filled(rule: str, texts: dict[str, str]) -> str:
    return _PART.sub(lambda part: texts[part[1]], rule)


def _texts(converter: BaseConverter | None) -> list[str]:
    """Give texts that a converter takes, the least likely in a rule first."""
    if isinstance(converter, NumberConverter):
        return _numbers(converter)
    pattern = converter.regex if converter is not None else ".*"
    items, lengths = sorted(getattr(converter, "items", ())), range(1, 65)
    words = (_WORD, *((_WORD * 9)[:length] for length in lengths), *("0" * length for length in lengths))
    found = [
        text for text in (*items, *words, "1.5", "A", "2000-01-01", str(UUID(int=0))) if re.fullmatch(pattern, text)
    ]
    least = found[: len(items) or (1 if _WORD in found else 2)] or [_WORD]
    return least + [text for text in (f"{_WORD}/{_WORD}", f"{_WORD}/{_WORD}/{_WORD}") if re.fullmatch(pattern, text)]


def _numbers(converter: NumberConverter) -> list[str]:
    """Give the least number that a converter takes, and others."""
    start = converter.min if converter.min is not None else 1
    first, *more = [converter.to_url(number) for number in (start, start + 4, start + 1_008)]
    return [first, *(text for text in more if _takes(converter, text))]


def _takes(converter: BaseConverter, text: str) -> bool:
    try:
        converter.to_python(text)
    except ValidationError:
        return False
    return True
