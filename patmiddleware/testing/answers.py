"""What a test client got, whichever client it is: the answer, and what the gate says of itself in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from werkzeug.datastructures import WWWAuthenticate

from patmiddleware.reject import ROWS, Row

Refusal: TypeAlias = Mapping[str, object]
"""The problem that is a refusal's body; one in Jira's shape is given the same names."""

_URN = "urn:patmiddleware:problem:"
_JIRA = re.compile(
    r"(?P<words>.*?)(?: Needed: (?P<needed>.*?); held: (?P<held>.*?)\.)?(?: Rule: (?P<rule>.*?)\.)?"
    r" \(request (?P<request_id>[A-Za-z0-9._-]+)\)",
    re.DOTALL,
)
_EXCERPT = 300  # characters of a body in a message


@dataclass(frozen=True, slots=True)
class Answer:
    """What came.

    Args:
        status: of HTTP.
        challenges: the values of ``WWW-Authenticate``.
        content_type: without its parameters.
        body: all of it.
        environ: of the request, where the client shows it.
    """

    status: int
    challenges: Sequence[str]
    content_type: str
    body: bytes
    environ: Mapping[str, Any]

    @classmethod
    def of(cls, response: Any) -> Answer:
        """Read a response of WebTest, WebOb, werkzeug or Flask.

        Raises:
            TypeError: when it is none.
        """
        try:
            headers = [(name.lower(), value) for name, value in response.headers.items()]
            status: int = response.status_code
            # WebOb's and WebTest's know a body; werkzeug's and Flask's get_data.
            body: bytes = response.body if hasattr(response, "body") else response.get_data()
        except AttributeError:
            raise TypeError(f"{type(response).__name__} is no response of WebTest, werkzeug or Flask") from None
        challenges = [value for name, value in headers if name == "www-authenticate"]
        content_type = dict(headers).get("content-type", "").partition(";")[0].strip().lower()
        request = getattr(response, "request", None)
        return cls(status, challenges, content_type, body, getattr(request, "environ", {}))

    @property
    def refusal(self) -> Refusal | None:
        """What the gate says in its refusal; None where the answer is not the gate's."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return None
        if not isinstance(said, dict):
            return None
        if self.content_type == "application/problem+json":
            ours = str(said.get("type")).startswith(_URN) and isinstance(said.get("request_id"), str)
            return said if ours else None
        return _from_jira(said) if self.content_type == "application/json" else None

    def says(self, row: Row, refusal: Refusal) -> bool:
        """Say whether a refusal is of this kind. One in Jira's shape has only its words to go by."""
        if "type" in refusal:
            return refusal["type"] == f"{_URN}{row.kind}"
        return refusal["words"] == row.text

    def bearer(self) -> WWWAuthenticate | None:
        """Give the challenge of Bearer; None where there is none."""
        read = map(WWWAuthenticate.from_header, self.challenges)
        return next((one for one in read if one is not None and one.type == "bearer"), None)

    def __str__(self) -> str:
        refusal = self.refusal
        text = self.body.decode("utf-8", "replace")
        shown = text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"
        return "\n".join(
            [
                f"came:     {self.status} {self.content_type or 'without a content type'}",
                *(f"          WWW-Authenticate: {challenge}" for challenge in self.challenges),
                f"          {shown or 'no body'}",
                f"request:  {self._request_id(refusal)}",
            ]
        )

    def _request_id(self, refusal: Refusal | None) -> object:
        said = self.environ.get("patmiddleware.request_id") if refusal is None else refusal["request_id"]
        return said or "without an id: no gate had it, or the client does not show it"


def _from_jira(said: Mapping[str, object]) -> Refusal | None:
    messages = said.get("errorMessages")
    if said.keys() != {"errorMessages", "errors"} or not isinstance(messages, list) or len(messages) != 1:
        return None
    found = _JIRA.fullmatch(str(messages[0]))
    if found is None:
        return None
    reason = next((reason for reason, row in ROWS.items() if row.status == 403 and row.text == found["words"]), None)
    return {
        **found.groupdict(),
        "reason": reason and reason.value,
        "needed": _names(found["needed"]),
        "held": [] if found["held"] == "none" else _names(found["held"]),
    }


def _names(listed: str | None) -> list[str]:
    return listed.split(", ") if listed else []
