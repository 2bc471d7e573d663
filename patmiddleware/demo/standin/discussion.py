"""What hangs on an issue, over HTTP: comments, time, watchers, votes, and files.

Each handler answers one operation; the table at the end says which.
"""

from __future__ import annotations

from urllib.parse import quote

from werkzeug import Response
from werkzeug.http import dump_options_header

from .call import Call, Route, answer, done
from .fields import read_moment, read_time
from .model import JiraError, User
from .refusals import to_login
from .shapes import Json, listing, media_type

PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48">'
    '<rect width="48" height="48" rx="24" fill="#6b778c"/></svg>'
)


def comments(call: Call, key: str) -> Response:
    issue = call.issue(key)
    numbers, page = call.page(issue.comments)
    return answer(numbers | {"comments": [call.write.comment(issue, comment) for comment in page]})


def comment(call: Call, key: str, number: int) -> Response:
    return answer(call.write.comment(call.issue(key), call.state.comment(key, number)))


def add_comment(call: Call, key: str) -> Response:
    me, issue, text = call.me(), call.issue(key), _text(call.body())
    return answer(call.write.comment(issue, call.state.add_comment(key, me, text)), 201)


def edit_comment(call: Call, key: str, number: int) -> Response:
    call.me()
    issue, text = call.issue(key), _text(call.body())
    return answer(call.write.comment(issue, call.state.edit_comment(key, number, text)))


def remove_comment(call: Call, key: str, number: int) -> Response:
    call.me()
    call.state.remove_comment(key, number)
    return done()


def _text(body: Json) -> str:
    text = body.get("body")
    if not isinstance(text, str) or not text.strip():
        raise JiraError(400, errors={"comment": "Comment body can not be empty!"})
    return text


def worklogs(call: Call, key: str) -> Response:
    issue = call.issue(key)
    return answer(listing("worklogs", [call.write.worklog(issue, worklog) for worklog in issue.worklogs]))


def add_worklog(call: Call, key: str) -> Response:
    me, issue, body = call.me(), call.issue(key), call.body()
    started = read_moment(body.get("started"))
    worklog = call.state.add_worklog(key, me, read_time(body), str(body.get("comment") or ""), started)
    return answer(call.write.worklog(issue, worklog), 201)


def watchers(call: Call, key: str) -> Response:
    issue = call.issue(key)
    return answer(call.write.watches(issue, call.user) | {"watchers": _users(call, issue.watchers)})


def watch(call: Call, key: str) -> Response:
    me, name = call.me(), call.value()
    call.state.watch(key, call.state.user(name) if isinstance(name, str) else me)
    return done()


def unwatch(call: Call, key: str) -> Response:
    call.me()
    call.state.watch(key, call.state.user(call.request.args.get("username", "")), on=False)
    return done()


def votes(call: Call, key: str) -> Response:
    issue = call.issue(key)
    return answer(call.write.votes(issue, call.user) | {"voters": _users(call, issue.voters)})


def vote(call: Call, key: str) -> Response:
    me, issue = call.me(), call.issue(key)
    if issue.reporter == me:
        raise JiraError(404, "You cannot vote for an issue you have reported.")
    call.state.vote(key, me)
    return done()


def unvote(call: Call, key: str) -> Response:
    call.state.vote(key, call.me(), on=False)
    return done()


def _users(call: Call, users: frozenset[User]) -> list[Json]:
    return [call.write.user(user) for user in sorted(users, key=lambda user: user.name)]


def attach(call: Call, key: str) -> Response:
    me, issue = call.me(), call.issue(key)
    files = call.request.files.getlist("file")
    if not files:
        raise JiraError(400, "The request has no part named 'file'.")
    added = [call.state.attach(issue.key, me, _file_name(file.filename), file.read()) for file in files]
    return answer(list(map(call.write.attachment, added)))


def _file_name(name: str | None) -> str:
    """Give the last part of a file's name, which may stand in a path and in a header."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(character for character in last if character.isprintable())
    return kept if kept.strip(". ") else "unnamed"


def attachment(call: Call, number: int) -> Response:
    call.me()
    return answer(call.write.attachment(call.state.attachment(number)))


def detach(call: Call, number: int) -> Response:
    call.me()
    call.state.detach(number)
    return done()


def attachment_meta(call: Call) -> Response:
    return answer({"enabled": True, "uploadLimit": call.request.max_content_length})


def download(call: Call, number: int, name: str) -> Response:
    if call.user is None:
        return to_login(call.request, call.write.base)
    found = call.state.attachment(number)
    response = Response(found.content, content_type=media_type(found))
    ascii_name = found.name.encode("ascii", "replace").decode()
    options = {"filename": ascii_name, "filename*": f"UTF-8''{quote(found.name, safe='')}"}
    response.headers["Content-Disposition"] = dump_options_header("attachment", options)
    return response


def picture(call: Call) -> Response:
    return Response(PICTURE, content_type="image/svg+xml")


_ISSUE = "/rest/api/2/issue/<key>"
_FILE = "/rest/api/2/attachment"

ROUTES: list[Route] = [
    ("GET", f"{_ISSUE}/comment", comments),
    ("POST", f"{_ISSUE}/comment", add_comment),
    ("GET", f"{_ISSUE}/comment/<int:number>", comment),
    ("PUT", f"{_ISSUE}/comment/<int:number>", edit_comment),
    ("DELETE", f"{_ISSUE}/comment/<int:number>", remove_comment),
    ("GET", f"{_ISSUE}/worklog", worklogs),
    ("POST", f"{_ISSUE}/worklog", add_worklog),
    ("GET", f"{_ISSUE}/watchers", watchers),
    ("POST", f"{_ISSUE}/watchers", watch),
    ("DELETE", f"{_ISSUE}/watchers", unwatch),
    ("GET", f"{_ISSUE}/votes", votes),
    ("POST", f"{_ISSUE}/votes", vote),
    ("DELETE", f"{_ISSUE}/votes", unvote),
    ("POST", f"{_ISSUE}/attachments", attach),
    ("GET", f"{_FILE}/meta", attachment_meta),
    ("GET", f"{_FILE}/<int:number>", attachment),
    ("DELETE", f"{_FILE}/<int:number>", detach),
    ("GET", "/secure/attachment/<int:number>/<name>", download),
    ("GET", "/secure/useravatar", picture),
    ("GET", "/secure/viewavatar", picture),
]
