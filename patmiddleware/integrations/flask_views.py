"""What the views of a Flask application demand, as its decorators have said, and a path that each rule serves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import takewhile
from typing import Any, Protocol, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from flask import Flask
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
_KEPT: dict[int, tuple[View, frozenset[str]]] = {}
"""What is asked for of those that can't be referred to weakly, or not be hashed; each is kept, and so its identity."""
_JUDGES: WeakKeyDictionary[View, WeakKeyDictionary[Judge, set[str]]] = WeakKeyDictionary()


def guarding(guard: View, view: View, scopes: frozenset[str]) -> None:
    """Remember that a guard was put around a view.

    Raises:
        ConfigurationError: when the view is registered with a gate that does not know a scope.
    """
    _GUARDS[guard] = scopes
    asking(view, scopes)


def asking(view: View, scopes: frozenset[str]) -> None:
    """Remember what is demanded of a view, or of a class of views, and of all that it is around.

    So it holds wherever one is registered: of a route below the guard, which got the view without it, as well.

    Raises:
        ConfigurationError: when it is registered with a gate that does not know a scope.
    """
    for layer in _layers(view):
        asked = (_asked(layer) or _NOTHING) | scopes
        try:
            _ASKED[layer] = asked
        except TypeError:
            _KEPT[id(layer)] = layer, asked
            continue
        for judge, endpoints in list(_JUDGES.get(layer, {}).items()):
            for endpoint in endpoints:
                judge.judge(endpoint, layer)


def judged_later(judge: Judge, endpoint: str, view: View) -> None:
    """Have a view judged again once more is asked for of it, or of a class that it is made of."""
    for each in (view, *_classes(view)):
        try:
            _JUDGES.setdefault(each, WeakKeyDictionary()).setdefault(judge, set()).add(endpoint)
        except TypeError:
            continue


def demanded(view: View, method: str = "") -> Demand:
    """Give what a view demands: by all that is around it, and of a class by the method as well.

    Args:
        view: as it is registered.
        method: upper case.
    """
    classes = _classes(view)
    found = [*map(_asked, (view, *classes)), *(_found(_GUARDS, each) for each in _layers(view))]
    found += [demanded(handler) for cls in classes[:1] for handler in _handlers(cls, method)]
    return joined(found)


def demanded_by(views: Iterable[View], methods: Iterable[str]) -> Demand:
    """Give what any of some functions demands, of any of some methods."""
    return joined([demanded(view, method) for method in (*methods, "") for view in views])


def demanded_at(app: Flask, endpoint: str, method: str) -> Demand:
    """Give what a request to an endpoint needs: what its view demands, and what always runs before it."""
    own = demanded(view, method) if (view := app.view_functions.get(endpoint)) is not None else None
    return joined([own, *map(enforced, before(app, endpoint))])


def before(app: Flask, endpoint: str) -> Iterator[View]:
    """Give what runs before a view, for the application and for each blueprint that the view is in."""
    name = endpoint
    while name:
        name = name.rpartition(".")[0]
        yield from app.before_request_funcs.get(name or None, ())


def enforced(function: View) -> Demand:
    """Give what a function that runs before views demands of each: what is around a guard may not always call it."""
    guards = takewhile(lambda scopes: scopes is not None, (_found(_GUARDS, each) for each in _layers(function)))
    return joined([_asked(function), *guards])


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


def _asked(view: View) -> Demand:
    try:
        return _ASKED.get(view)
    except TypeError:
        return _KEPT[id(view)][1] if id(view) in _KEPT else None


def _found(table: WeakKeyDictionary[View, frozenset[str]], view: View) -> Demand:
    try:
        return table.get(view)
    except TypeError:
        return None


def _classes(view: View) -> tuple[View, ...]:
    """Give the class that a view is made of, and those that it inherits from."""
    cls = getattr(view, "view_class", None)
    return cls.__mro__ if isinstance(cls, type) else ()


def _handlers(cls: View, method: str) -> Iterator[View]:
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
