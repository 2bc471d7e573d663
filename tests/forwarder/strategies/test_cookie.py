"""A session at the upstream: one login for all, renewed once, and never one too many."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from loggingin import log_in
from upstreams import ALICE, PlainTransport, Site, get, serving
from werkzeug import Request, Response

from patmiddleware.errors import ConfigurationError, LinkError, UpstreamError, UpstreamTimeout
from patmiddleware.forwarder.breaker import Breaker
from patmiddleware.forwarder.strategies import CookieLogin
from patmiddleware.interfaces import UpstreamRequest
from patmiddleware.model import Secret
from patmiddleware.testing import FakeClock
from patmiddleware.testing.samples import together

PASSWORD = "geheim"
MINUTE = 60.0


@dataclass
class Jira:
    """Sessions as Jira has them, with a CAPTCHA after three failures.

    Attributes:
        logins: user names and passwords that came in.
        answer: in the place of a login's answer.
        pause: seconds that a login takes.
    """

    password: str = PASSWORD
    logins: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0
    sessions: set[str] = field(default_factory=set)
    answer: Callable[[], Response] | None = None
    pause: float = 0.0
    lock: Any = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response:
        if request.path == "/jira/rest/auth/1/session" and request.method == "POST":
            threading.Event().wait(self.pause)
            with self.lock:
                given = json.loads(request.get_data())
                self.logins.append((given["username"], given["password"]))
                return self.answer() if self.answer else self._login(given["password"])
        known = request.cookies.get("JSESSIONID") in self.sessions
        return Response("alice" if known else "who?", 200 if known else 401)

    def _login(self, password: str) -> Response:
        if self.failures >= 3:
            return Response(status=403, headers={"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE; login-url=x"})
        if password != self.password:
            self.failures += 1
            return Response('{"errorMessages":["Login failed"],"errors":{}}', 401)
        self.failures = 0
        id = f"{len(self.logins):032X}"
        self.sessions.add(id)
        response = Response(json.dumps({"session": {"name": "JSESSIONID", "value": id}}))
        response.headers.add("Set-Cookie", f"JSESSIONID={id}; Path=/jira; HttpOnly")
        response.headers.add("Set-Cookie", "atlassian.xsrf.token=AAAA|bbbb|lin;Path=/jira")
        response.headers.add("Set-Cookie", "seraph.rememberme.cookie=1%3Aff; Max-Age=1209600; Path=/jira")
        response.headers.add("Set-Cookie", 'gone=""; Max-Age=0; Path=/')
        return response


@pytest.fixture
def jira() -> Jira:
    return Jira()


@pytest.fixture
def site(jira: Jira) -> Iterator[Site]:
    with serving(jira) as site:
        yield site


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def way(site: Site, clock: FakeClock, tmp_path: Path) -> CookieLogin:
    return way_to(site, clock, tmp_path)


def way_to(site: Site | str, clock: FakeClock, state: Path | None, password: str = PASSWORD) -> CookieLogin:
    url = site if isinstance(site, str) else site.url
    return CookieLogin(PlainTransport(url), url, "svc", password, state=state, clock=clock)


def send(site: Site, request: UpstreamRequest) -> int:
    response = PlainTransport(site.url).send(request)
    list(response.stream())
    response.close()
    return response.status


def header(request: UpstreamRequest, name: str) -> list[str]:
    return [value for key, value in request.headers if key.lower() == name.lower()]


def fails(way: CookieLogin, kind: type[Exception] = LinkError) -> str:
    with pytest.raises(kind) as caught:
        way.sign(get(), ALICE)
    assert type(caught.value) is kind
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_a_session_is_made_once_and_used_again(jira: Jira, site: Site, way: CookieLogin) -> None:
    """The first request logs in, the others are of the same session."""
    statuses = [send(site, way.sign(get(), ALICE)) for _ in range(3)]

    assert (statuses, jira.logins) == ([200, 200, 200], [("svc", PASSWORD)])


def test_cookies_of_the_session_are_sent_and_no_others(way: CookieLogin) -> None:
    """Not the client's, none that is over already, none that would log in by itself."""
    signed = way.sign(get("/", ("cookie", "JSESSIONID=of-the-client"), ("X-atlassian-token", "x")), ALICE)

    assert header(signed, "Cookie") == [
        "JSESSIONID=00000000000000000000000000000001; atlassian.xsrf.token=AAAA|bbbb|lin"
    ]
    assert header(signed, "X-Atlassian-Token") == ["no-check"]


def test_the_password_goes_to_the_login_alone(site: Site, way: CookieLogin) -> None:
    """No other request has it, in no form."""
    send(site, way.sign(get(), ALICE))

    login, request = site.asked
    assert (login.method, login.path, login.content_type) == ("POST", "/jira/rest/auth/1/session", "application/json")
    assert request.authorization is None
    assert PASSWORD not in repr(request.environ) + repr(request.headers)
    assert PASSWORD not in repr(way) + repr(vars(way)) + repr(vars(way._breaker))


def test_twenty_threads_make_one_login(jira: Jira, site: Site, way: CookieLogin) -> None:
    """However many requests find no session, one of them logs in."""
    jira.pause = 0.1

    assert together(20, lambda number: send(site, way.sign(get(), ALICE)) == 200) == [True] * 20
    assert len(jira.logins) == 1


def test_a_lost_session_is_made_anew(jira: Jira, site: Site, way: CookieLogin, clock: FakeClock) -> None:
    """A request that is refused with a session is signed anew with another one."""
    refused = way.sign(get(), ALICE)
    jira.sessions.clear()
    clock.advance(MINUTE)

    assert send(site, refused) == 401
    assert way.refused(ALICE) is True
    assert send(site, way.sign(get(), ALICE)) == 200
    assert len(jira.logins) == 2


def test_of_many_that_lose_a_session_one_makes_it_anew(
    jira: Jira, site: Site, way: CookieLogin, clock: FakeClock
) -> None:
    """Twenty requests that are refused with the same session cause one login."""
    way.sign(get(), ALICE)
    barrier = threading.Barrier(20)

    def lose(number: int) -> bool:
        refused = way.sign(get(), ALICE)
        if barrier.wait(60) == 0:
            jira.sessions.clear()
            clock.advance(MINUTE)
        barrier.wait(60)
        assert send(site, refused) == 401
        return way.refused(ALICE) and send(site, way.sign(get(), ALICE)) == 200

    assert together(20, lose) == [True] * 20
    assert len(jira.logins) == 2


def test_who_hears_late_of_a_lost_session_takes_the_new_one(jira: Jira, way: CookieLogin, clock: FakeClock) -> None:
    """What was refused is the session that the request was signed with, not the one that is there now."""
    way.sign(get(), ALICE)
    clock.advance(MINUTE)

    def other() -> None:
        way.sign(get(), ALICE)
        way.refused(ALICE)
        way.sign(get(), ALICE)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(60)
    clock.advance(MINUTE)

    assert way.refused(ALICE) is True
    assert "JSESSIONID=00000000000000000000000000000002" in header(way.sign(get(), ALICE), "Cookie")[0]
    assert len(jira.logins) == 2


def test_a_session_that_was_just_made_is_not_made_again(jira: Jira, way: CookieLogin, clock: FakeClock) -> None:
    """An upstream that refuses every session is not flooded with logins; later it is tried again."""
    way.sign(get(), ALICE)
    at_once = way.refused(ALICE)
    way.sign(get(), ALICE)
    clock.advance(MINUTE)
    later = way.refused(ALICE)
    way.sign(get(), ALICE)

    assert (at_once, later, len(jira.logins)) == (False, True, 2)


def test_who_never_signed_can_not_be_refused(way: CookieLogin) -> None:
    """There is no session to give up."""
    assert way.refused(ALICE) is False


def test_a_wrong_password_is_tried_twice_and_then_given_up(jira: Jira, way: CookieLogin, clock: FakeClock) -> None:
    """With a quarter of an hour between, and never a third time: the third would lock the account."""
    jira.password = "another"
    tried = []
    for wait in (0, 1, 890, 10, 1, 901, 86_400, 30 * 86_400):
        clock.advance(wait)
        message = fails(way)
        tried.append(len(jira.logins))

    assert tried == [1, 1, 1, 2, 2, 2, 2, 2]
    assert "not tried again" in message


@pytest.mark.parametrize("step", [-1e9, -3600.0])
def test_a_clock_that_is_set_back_makes_no_pause_longer(
    jira: Jira, way: CookieLogin, clock: FakeClock, step: float
) -> None:
    """A failure that lies far in the future is no reason to wait for it."""
    jira.answer = lambda: Response(status=403)
    fails(way)
    clock.advance(step)
    fails(way)

    assert len(jira.logins) == 2


def test_twenty_threads_with_a_wrong_password_try_it_once(jira: Jira, way: CookieLogin) -> None:
    """Those that waited for the login hear what it heard."""
    jira.password, jira.pause = "another", 0.1

    assert together(20, lambda number: "refuses the password" in fails(way)) == [True] * 20
    assert len(jira.logins) == 1


def test_every_process_heeds_the_note(jira: Jira, site: Site, clock: FakeClock, tmp_path: Path) -> None:
    """A restart, or another worker, is no new try of the same password."""
    jira.password = "another"
    for _ in range(4):
        fails(way_to(site, clock, tmp_path))

    assert len(jira.logins) == 1


def test_four_workers_with_a_wrong_password_try_it_once(jira: Jira, site: Site, tmp_path: Path) -> None:
    """Processes that log in at the same moment take turns, and the later ones heed what the first was told."""
    pytest.importorskip("urllib3", reason="needs the extra forward")
    jira.password, jira.pause = "another", 0.2
    context = multiprocessing.get_context("spawn")
    gate, said = context.Barrier(4), context.Queue()
    workers = [context.Process(target=log_in, args=(site.url, PASSWORD, str(tmp_path), gate, said)) for _ in range(4)]
    for worker in workers:
        worker.start()
    heard = [said.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)

    assert len(jira.logins) == 1
    assert all("refuses the password" in words for words in heard)


def test_a_new_password_is_tried_at_once(jira: Jira, site: Site, clock: FakeClock, tmp_path: Path) -> None:
    """Whoever puts the right password into the settings need not wait; a success forgets what was."""
    jira.password = "right"
    fails(way_to(site, clock, tmp_path))

    way_to(site, clock, tmp_path, "right").sign(get(), ALICE)

    assert [password for _, password in jira.logins] == [PASSWORD, "right"]
    assert list(tmp_path.glob("*.json")) == []


def test_no_note_has_the_password(jira: Jira, way: CookieLogin, tmp_path: Path) -> None:
    """Nor the name of the account, and only we may read it."""
    jira.password = "another"
    fails(way)

    [note] = tmp_path.glob("*.json")
    assert PASSWORD not in note.read_text()
    assert "svc" not in note.read_text() + note.name
    assert note.stat().st_mode & 0o777 == 0o600


def test_accounts_are_noted_apart(jira: Jira, site: Site, way: CookieLogin, clock: FakeClock, tmp_path: Path) -> None:
    """One account's failure does not keep another one out."""
    jira.password = "another"
    fails(way)
    other = CookieLogin(PlainTransport(site.url), site.url, "other", "another", state=tmp_path, clock=clock)

    assert send(site, other.sign(get(), ALICE)) == 200


@pytest.mark.parametrize("headers", [{}, {"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE; login-url=x"}])
@pytest.mark.parametrize("status", [403, 401])
def test_a_captcha_opens_the_breaker(
    jira: Jira, way: CookieLogin, clock: FakeClock, status: int, headers: dict[str, str]
) -> None:
    """It is not asked again for a quarter of an hour, whatever the password; the message says what to do."""
    jira.answer = lambda: Response(status=status, headers=headers)
    said = fails(way)
    clock.advance(14 * MINUTE)
    fails(way)
    assert len(jira.logins) == 1

    jira.answer = None
    clock.advance(MINUTE)
    way.sign(get(), ALICE)

    assert len(jira.logins) == 2
    assert ("log in once with a browser" in said) is (status == 403 or bool(headers))


def test_a_new_password_does_not_pass_a_captcha(jira: Jira, site: Site, clock: FakeClock, tmp_path: Path) -> None:
    """The challenge is the account's, so the pause holds for any password."""
    jira.answer = lambda: Response(status=403)
    fails(way_to(site, clock, tmp_path))
    fails(way_to(site, clock, tmp_path, "right"))

    assert len(jira.logins) == 1


def test_we_never_lock_an_account(jira: Jira, site: Site, clock: FakeClock, tmp_path: Path) -> None:
    """A year of requests, restarts and clocks that jump leaves the wrong password short of the CAPTCHA."""
    jira.password = "another"
    for step in (1, 899, 900, -5_000, 7_200, 86_400, 31_000_000):
        for _ in range(3):
            fails(way_to(site, clock, tmp_path))
        clock.advance(step)

    assert jira.failures == 2


def test_an_administrator_lets_it_try_again(jira: Jira, way: CookieLogin) -> None:
    """What was noted is forgotten when asked to."""
    jira.answer = lambda: Response(status=401)
    fails(way)
    jira.answer = None
    way.forget_failures()
    way.sign(get(), ALICE)

    assert len(jira.logins) == 2


def _without_a_session() -> Response:
    return Response("{}", headers={"Set-Cookie": "JSESSIONID=; Path=/jira"})


ODD: dict[str, Callable[[], Response]] = {
    "no cookie": lambda: Response("{}"),
    "an empty cookie": _without_a_session,
    "another cookie": lambda: Response("{}", headers={"Set-Cookie": "sid=1; Path=/"}),
    "a cookie that is over": lambda: Response("{}", headers={"Set-Cookie": "JSESSIONID=1; path=/;Max-Age=0"}),
    "a cookie that is none": lambda: Response("{}", headers={"Set-Cookie": "JSESSIONID=a b"}),
    "a redirect": lambda: Response(status=302, headers={"Location": "/sso", "Set-Cookie": "JSESSIONID=1"}),
    "no such path": lambda: Response("<html>", 404, headers={"Set-Cookie": "JSESSIONID=1"}),
    "no content": lambda: Response(status=204, headers={"Set-Cookie": "JSESSIONID=1"}),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_what_is_no_login_of_jira_breaks_the_link(
    jira: Jira, way: CookieLogin, clock: FakeClock, answer: Callable[[], Response]
) -> None:
    """The link is broken; it is tried again a minute later, and not by each request meanwhile."""
    jira.answer = answer
    said = fails(way)
    fails(way)
    assert len(jira.logins) == 1

    jira.answer = None
    clock.advance(MINUTE)
    way.sign(get(), ALICE)

    assert "does not answer a login as Jira does" in said


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_outage_is_no_refusal(jira: Jira, way: CookieLogin, tmp_path: Path, status: int) -> None:
    """The upstream is out of reach for now; the next request asks again."""
    jira.answer = lambda: Response("Login failed", status)
    fails(way, UpstreamError)
    jira.answer = None
    way.sign(get(), ALICE)

    assert list(tmp_path.glob("*.json")) == []


def test_an_answer_without_end_is_no_login(jira: Jira, way: CookieLogin) -> None:
    """It is read up to a bound."""
    jira.answer = lambda: Response(b"x" * 70_000, headers={"Set-Cookie": "JSESSIONID=1"})

    assert "more than 65536 bytes" in fails(way, UpstreamError)


def test_an_upstream_that_is_gone_is_an_outage(site: Site, way: CookieLogin, tmp_path: Path) -> None:
    """Nothing is noted of the account."""
    site.stop()
    fails(way, UpstreamError)

    assert list(tmp_path.glob("*.json")) == []


def test_those_who_wait_for_a_login_that_fails_do_not_try_one_after_the_other(jira: Jira, way: CookieLogin) -> None:
    """An upstream that is down is asked once for all of them."""
    jira.answer, jira.pause = (lambda: Response(status=503)), 0.3

    together(20, lambda number: bool(fails(way, UpstreamError)))

    assert len(jira.logins) == 1


def test_a_note_that_makes_no_sense_lets_nobody_log_in(way: CookieLogin, jira: Jira, tmp_path: Path) -> None:
    """Where it can't be said that it is safe, it is not tried."""
    jira.password = "another"
    fails(way)
    [note] = tmp_path.glob("*.json")
    for garbled in ("", "{}", "[]", '{"trouble": "no"}', note.read_text()[:-1], '{"trouble":"odd","at":1,"x":2}'):
        note.write_text(garbled)
        assert "no note of logins can be kept" in fails(way)

    assert len(jira.logins) == 1


def test_a_folder_that_is_gone_lets_nobody_log_in(jira: Jira, site: Site, clock: FakeClock, tmp_path: Path) -> None:
    """Without a note four workers would try four times."""
    folder = tmp_path / "notes"
    folder.mkdir()
    way = way_to(site, clock, folder)
    folder.rmdir()

    assert "set app.auth.state" in fails(way)
    assert jira.logins == []


def test_a_folder_must_be_one(clock: FakeClock, tmp_path: Path) -> None:
    """It is missed at the start."""
    with pytest.raises(ConfigurationError, match="is no folder") as caught:
        way_to("http://127.0.0.1:1/jira", clock, tmp_path / "no")

    assert caught.value.problems[0].setting == "app.auth.state"


def test_notes_are_in_a_folder_of_our_own(
    jira: Jira, site: Site, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everybody may write, only we do; what somebody else could write to is not trusted."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jira.password = "another"
    fails(way_to(site, clock, None))
    [folder] = tmp_path.iterdir()
    mode = folder.stat().st_mode & 0o777
    folder.chmod(0o777)

    assert "not ours alone" in fails(way_to(site, clock, None))
    assert (mode, len(jira.logins)) == (0o700, 1)


def test_a_link_is_no_folder_of_our_own(
    jira: Jira, site: Site, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may have put it there, to have us write elsewhere."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    way = way_to(site, clock, None)
    way.sign(get(), ALICE)
    [folder] = tmp_path.iterdir()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")

    assert "not ours alone" in fails(way_to(site, clock, None))


def test_another_process_is_not_waited_for_without_end(site: Site, tmp_path: Path) -> None:
    """A login that takes too long somewhere else is an outage."""
    first, second = (
        Breaker(site.url, "svc", Secret(PASSWORD), folder=tmp_path, patience=patience) for patience in (30.0, 0.05)
    )

    with first.login(), pytest.raises(UpstreamTimeout, match="another process"), second.login():
        pass
