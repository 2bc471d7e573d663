"""A little of Jira's query language: comparisons joined by AND, and ORDER BY."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from .model import PRIORITIES, Issue, JiraError, Named, User

_TOKEN = re.compile(
    r"""\s*(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<sign>!=|!~|[=~(),])|(?P<word>[^\s"'=!~<>(),]+))"""
)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    quoted: bool = False

    def says(self, *words: str) -> bool:
        return not self.quoted and self.text.upper() in words


END = _Token("")


def _user(user: User | None) -> tuple[str, ...]:
    return (user.name, user.key, user.display_name) if user else ()


def _named(*values: Named | None) -> tuple[str, ...]:
    return tuple(word for value in values if value for word in (value.id, value.name))


def _text(issue: Issue) -> tuple[str, ...]:
    return (issue.summary, issue.description or "", *(comment.body for comment in issue.comments))


_EXACT: Mapping[str, Callable[[Issue], tuple[str, ...]]] = {
    "project": lambda issue: (issue.project.key, issue.project.id, issue.project.name),
    "key": lambda issue: (issue.key, str(issue.id)),
    "status": lambda issue: _named(issue.status),
    "statuscategory": lambda issue: (issue.status.category.name, issue.status.category.key),
    "issuetype": lambda issue: _named(issue.kind),
    "priority": lambda issue: _named(issue.priority),
    "resolution": lambda issue: _named(issue.resolution) or ("unresolved",),
    "assignee": lambda issue: _user(issue.assignee),
    "reporter": lambda issue: _user(issue.reporter),
    "creator": lambda issue: _user(issue.reporter),
    "labels": lambda issue: issue.labels,
    "component": lambda issue: _named(*issue.components),
    "fixversion": lambda issue: _named(*issue.versions),
}
_WORDS: Mapping[str, Callable[[Issue], tuple[str, ...]]] = {
    "text": _text,
    "summary": lambda issue: (issue.summary,),
    "description": lambda issue: (issue.description or "",),
    "comment": lambda issue: tuple(comment.body for comment in issue.comments),
}
_SORTED: Mapping[str, Callable[[Issue], tuple[object, ...]]] = {
    "key": lambda issue: (issue.project.key, issue.number),
    "created": lambda issue: (issue.created, issue.number),
    "updated": lambda issue: (issue.updated, issue.number),
    "summary": lambda issue: (issue.summary.casefold(),),
    "status": lambda issue: (issue.status.name,),
    "priority": lambda issue: (-PRIORITIES.index(issue.priority),),
    "issuetype": lambda issue: (issue.kind.name,),
    "assignee": lambda issue: (issue.assignee.display_name if issue.assignee else "",),
    "duedate": lambda issue: (issue.due is None, issue.due.isoformat() if issue.due else ""),
}
_ALIASES = {"issue": "key", "issuekey": "key", "id": "key", "type": "issuetype", "due": "duedate"}


@dataclass(frozen=True, slots=True)
class _Clause:
    field: str
    wanted: frozenset[str]
    negated: bool
    contains: bool

    def holds(self, issue: Issue) -> bool:
        if self.contains:
            texts = [text.casefold() for text in _WORDS[self.field](issue)]
            return self.negated != all(any(word in text for text in texts) for word in self.wanted)
        has = {word.casefold() for word in _EXACT[self.field](issue)}
        return self.negated != (bool(has & self.wanted) if self.wanted else has <= {"unresolved"})


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was understood.

    Args:
        clauses: all must hold.
        order: fields to sort by, each with whether it goes down.
    """

    clauses: tuple[_Clause, ...]
    order: tuple[tuple[str, bool], ...]

    def run(self, issues: Iterable[Issue]) -> list[Issue]:
        """Give the issues that are meant, sorted; without an order the newest comes first."""
        found = [issue for issue in issues if all(clause.holds(issue) for clause in self.clauses)]
        for field, down in (*reversed(self.order), *(() if self.order else (("key", True),))):
            found.sort(key=_SORTED[field], reverse=down)
        return found


def parse(text: str, me: str, known: Mapping[str, Collection[str]]) -> Query:
    """Read a query.

    Args:
        text: JQL.
        me: name of the user that ``currentUser()`` stands for.
        known: name of a field to all values that it may be compared with, in lower case.

    Raises:
        JiraError: 400, where it can't be understood, or names what does not exist.
    """
    return _Parser(text, me, known).query()


class _Parser:
    def __init__(self, text: str, me: str, known: Mapping[str, Collection[str]]) -> None:
        self._tokens = list(_tokens(text))
        self._me, self._known = me, known

    def query(self) -> Query:
        clauses: list[_Clause] = []
        while self._tokens and not self._peek().says("ORDER"):
            if clauses:
                self._expect("AND")
            clauses.append(self._clause())
        return Query(tuple(clauses), self._order() if self._tokens else ())

    def _peek(self) -> _Token:
        return self._tokens[0] if self._tokens else END

    def _next(self) -> _Token:
        return self._tokens.pop(0) if self._tokens else END

    def _expect(self, *words: str) -> None:
        token = self._next()
        if not token.says(*words):
            self._fail(f"Expecting '{words[0]}' but got '{token.text or 'the end'}'.")

    def _fail(self, message: str) -> NoReturn:
        raise JiraError(400, f"Error in the JQL Query: {message}")

    def _field(self, *tables: Mapping[str, object]) -> str:
        token = self._next()
        name = _ALIASES.get(token.text.casefold(), token.text.casefold())
        if not any(name in table for table in tables):
            raise JiraError(400, f"Field '{token.text}' does not exist or you do not have permission to view it.")
        return name

    def _clause(self) -> _Clause:
        field = self._field(_EXACT, _WORDS)
        operator = self._next()
        if operator.says("~", "!~") and field in _WORDS:
            words = self._value().casefold().replace("*", " ").split()
            return _Clause(field, frozenset(words), operator.says("!~"), contains=True)
        if operator.says("IS") and field in _EXACT:
            return self._emptiness(field)
        if not operator.says("=", "!=", "IN", "NOT") or field not in _EXACT:
            raise JiraError(400, f"The operator '{operator.text}' is not supported by the '{field}' field.")
        if operator.says("NOT"):
            self._expect("IN")
        values = self._list() if operator.says("IN", "NOT") else [self._value()]
        return _Clause(field, self._checked(field, values), operator.says("!=", "NOT"), contains=False)

    def _emptiness(self, field: str) -> _Clause:
        negated = self._peek().says("NOT")
        if negated:
            self._next()
        self._expect("EMPTY", "NULL")
        return _Clause(field, frozenset(), negated, contains=False)

    def _list(self) -> list[str]:
        self._expect("(")
        values = [self._value()]
        while self._peek().says(","):
            self._next()
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> str:
        token = self._next()
        if token is END or (not token.quoted and token.text in ("(", ")", ",", "=", "~", "!=", "!~")):
            self._fail(f"Expecting a value but got '{token.text or 'the end'}'.")
        if token.says("CURRENTUSER") and self._peek().says("("):
            self._expect("(")
            self._expect(")")
            return self._me
        return token.text

    def _checked(self, field: str, values: Collection[str]) -> frozenset[str]:
        for value in values:
            if field in self._known and value.casefold() not in self._known[field]:
                raise JiraError(400, f"The value '{value}' does not exist for the field '{field}'.")
        return frozenset(value.casefold() for value in values)

    def _order(self) -> tuple[tuple[str, bool], ...]:
        self._expect("ORDER")
        self._expect("BY")
        order = []
        while True:
            field = self._field(_SORTED)
            down = self._peek().says("DESC")
            if self._peek().says("ASC", "DESC"):
                self._next()
            order.append((field, down))
            if not self._tokens:
                return tuple(order)
            self._expect(",")


def _tokens(text: str) -> Iterable[_Token]:
    end = 0
    text = text.rstrip()
    while end < len(text):
        found = _TOKEN.match(text, end)
        if found is None:
            raise JiraError(400, f"Error in the JQL Query: '{text[end:].strip()[:1]}' is not understood here.")
        end = found.end()
        quoted = found["double"] if found["double"] is not None else found["single"]
        if quoted is not None:
            yield _Token(re.sub(r"\\(.)", r"\1", quoted), quoted=True)
        else:
            yield _Token(found["sign"] or found["word"])
