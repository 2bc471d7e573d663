"""One request to the stand-in, and how it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from werkzeug import Request, Response

from .model import Issue, JiraError, User
from .shapes import JiraJson, Json
from .state import JiraState

if TYPE_CHECKING:
    from .site import Site

Item = TypeVar("Item")
MOST = 1000
FORM = "application/x-www-form-urlencoded"
JSON = "application/json;charset=UTF-8"

# Handlers take what their path captures, by name.
Handler: TypeAlias = Callable[..., Response]
Route: TypeAlias = tuple[str, str, Handler]


class JiraRequest(Request):
    """A request whose body is bounded, unless it is streamed, since all that is uploaded stays in memory."""

    max_content_length = 10 * 2**20
    max_form_parts = 50

    @property
    def small_form(self) -> str:
        """The body of a form of moderate size; empty for all else, of which nothing is read."""
        if self.mimetype != FORM or (self.content_length or 0) > 2**20:
            return ""
        return self.get_data(parse_form_data=False).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Call:
    """A request, by whom, and what is needed to answer it.

    Args:
        request: as it came.
        site: all that the stand-in has.
        user: None for an anonymous caller.
        write: writes JSON with the right links.
    """

    request: JiraRequest
    site: Site
    user: User | None
    write: JiraJson

    @property
    def state(self) -> JiraState:
        """What the stand-in knows of projects and issues."""
        return self.site.state

    def administrator(self) -> User:
        """Give the caller, who may administer.

        Raises:
            JiraError: 401 for an anonymous caller, 403 for anybody else.
        """
        me = self.me()
        if not self.site.accounts.is_administrator(me):
            raise JiraError(403, "You do not have permission to administer Jira.")
        return me

    def me(self) -> User:
        """Give the caller.

        Raises:
            JiraError: 401, for an anonymous one.
        """
        if self.user is None:
            raise JiraError(401, "You are not authenticated. Authentication required to perform this operation.")
        return self.user

    def issue(self, key: str) -> Issue:
        """Give an issue, if the caller may see it.

        Raises:
            JiraError: 401 for an anonymous caller, 404 when there is none.
        """
        if self.user is None:
            raise JiraError(401, "You do not have the permission to see the specified issue.", "Login Required")
        return self.state.issue(key)

    def body(self) -> Json:
        """Give the JSON object that was sent; an empty one where there is no body.

        Raises:
            JiraError: 400, when it is something else.
        """
        sent = self.value()
        if not isinstance(sent, dict):
            raise JiraError(400, "The body of the request must be a JSON object.")
        return sent

    def value(self) -> object:
        """Give what was sent as JSON; an empty object where there is no body.

        Raises:
            JiraError: 400, when it is not JSON.
        """
        try:
            return json.loads(self.request.get_data() or b"{}")
        except (ValueError, RecursionError):
            raise JiraError(400, "The body of the request is not valid JSON.") from None

    def table(self, source: Json, name: str) -> Json:
        """Give the object of that name in another; an empty one where it is missing.

        Raises:
            JiraError: 400, when it is something else.
        """
        found = source.get(name)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise JiraError(400, f"'{name}' must be a JSON object.")
        return found

    def page(self, items: Sequence[Item], source: Json | None = None, size: int = 50) -> tuple[Json, Sequence[Item]]:
        """Give the part of a list that was asked for, and the numbers that go with it.

        Raises:
            JiraError: 400, when what was asked for is not a number.
        """
        asked = self.request.args if source is None else source
        start, most = (_number(name, asked.get(name, usual)) for name, usual in (("startAt", 0), ("maxResults", size)))
        most = min(most, MOST)
        return {"startAt": start, "maxResults": most, "total": len(items)}, items[start : start + most]

    def names(self, name: str) -> list[str]:
        """Give the names in a parameter that holds several, joined by commas or repeated."""
        return [word.strip() for value in self.request.args.getlist(name) for word in value.split(",") if word.strip()]


def _number(name: str, value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise JiraError(400, f"'{name}' must be a number that is not negative, not '{text}'.")
    return int(text)


def answer(data: Json | Iterable[object], status: int = 200) -> Response:
    """Answer with JSON; what was made stands at the address that it names itself."""
    response = Response(json.dumps(data), status, content_type=JSON)
    if status == 201 and isinstance(data, dict) and "self" in data:
        response.headers["Location"] = data["self"]
    return response


def done() -> Response:
    """Answer that it is done, without a body."""
    response = Response(status=204)
    # PEP 3333 servers may refuse a type for what has no body.
    response.headers.remove("Content-Type")
    return response
