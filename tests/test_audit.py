"""The audit log: what a line says, and that no sink ever holds a request up or loses a line in silence."""

from __future__ import annotations

import copy
import errno
import io
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.audit import AuditLog, Decision, Event, line
from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Allowed, Denied, Grant, Reason

NOW = 1776249000.1234
GRANT = Grant(token_id="2f", owner="alice", token_name="ci", scopes=frozenset({"READ"}), scheme="Basic")
ALLOWED = Allowed("r")
REFUSED = Denied(Reason.INSUFFICIENT_SCOPE, "jira", frozenset({"WRITE"}), frozenset({"READ"}))


def entry(
    decision: Allowed | Denied = ALLOWED,
    *,
    grant: Grant | None = GRANT,
    status: int | None = None,
    address: str | None = "192.0.2.7",
    method: str = "GET",
    path: str = "/rest",
) -> Decision:
    return (NOW, grant, decision, status, address, method, path, "q1", 0.0000421)


def told(of: Decision | Event) -> dict[str, object]:
    return cast(dict[str, object], json.loads(line(of)))


def test_a_decision_says_who_did_what_and_why() -> None:
    """A refusal names the caller, the request, the reason, the rule, and what would have been enough."""
    assert told(entry(REFUSED, status=403, method="POST", path="/rest/api/2/issue")) == {
        "time": "2026-04-15T10:30:00.123Z",
        "event": "decision",
        "decision": "denied",
        "status": 403,
        "reason": "insufficient_scope",
        "who": "alice",
        "token": "2f",
        "token_name": "ci",
        "scheme": "Basic",
        "address": "192.0.2.7",
        "method": "POST",
        "path": "/rest/api/2/issue",
        "rule": "jira",
        "request_id": "q1",
        "ms": 0.042,
        "needed": ["WRITE"],
    }


VERDICTS = [
    (Allowed("r"), {"decision": "allowed", "reason": None, "rule": "r"}),
    (Allowed(), {"decision": "allowed", "reason": None, "rule": None}),
    (Allowed("r", observed=REFUSED), {"decision": "observed", "reason": "insufficient_scope", "needed": ["WRITE"]}),
    (Denied(Reason.NO_RULE), {"decision": "denied", "reason": "no_rule", "rule": None}),
]


@pytest.mark.parametrize(("decision", "expected"), VERDICTS)
def test_verdicts(decision: Allowed | Denied, expected: dict[str, object]) -> None:
    """Allowed, denied, and what an observing policy let through."""
    seen = told(entry(decision))

    assert {key: seen[key] for key in expected} == expected


CALLERS = [
    (GRANT, {"who": "alice", "token": "2f", "token_name": "ci", "scheme": "Basic"}),
    (None, {"who": None, "token": None, "token_name": None, "scheme": None}),
    (Grant(token_id=None, owner="bob", scheme="Basic"), {"who": "bob", "token": None, "passwords": True}),
]


@pytest.mark.parametrize(("grant", "expected"), CALLERS)
def test_callers(grant: Grant | None, expected: dict[str, object]) -> None:
    """A token's owner, nobody, and somebody who came in with a password."""
    seen = told(entry(grant=grant))

    assert {key: seen[key] for key in expected} == expected
    assert ("passwords" in seen) == ("passwords" in expected)


def test_an_act_of_management_says_what_is_known() -> None:
    """An event's own fields stand in its line; what is not known is left out."""
    assert told((NOW, "token.revoked", {"by": "root", "token": "2f", "why": None})) == {
        "time": "2026-04-15T10:30:00.123Z",
        "event": "token.revoked",
        "by": "root",
        "token": "2f",
    }


@given(*[st.text()] * 5)
def test_no_text_breaks_a_line(owner: str, rule: str, address: str, method: str, path: str) -> None:
    """Whatever a client or a policy writes, an entry is one line of ASCII that reads back as it was."""
    of = entry(Allowed(rule), grant=Grant(token_id="2f", owner=owner), address=address, method=method, path=path)

    text = line(of)

    assert text.isascii()
    assert text.splitlines(keepends=True) == [text]
    seen = json.loads(text)
    assert [seen[key] for key in ("who", "rule", "address", "method", "path")] == [
        owner, rule, address, method[:64], path[:2048],
    ]  # fmt: skip


def test_long_words_of_a_client_are_cut() -> None:
    """A path of any length takes no more than 2,048 characters, a method 64."""
    seen = told(entry(path="/" * 9_000, method="M" * 9_000))

    assert (len(str(seen["path"])), len(str(seen["method"]))) == (2_048, 64)


def test_a_foreign_policy_may_answer_with_anything() -> None:
    """A rule's id that is no text is written as one, rather than cost the line."""
    assert told(entry(Allowed(cast(str, ("a", "tuple")))))["rule"] == "('a', 'tuple')"


class Gate:
    """A sink that can be shut: it blocks, or fails, until it is let go."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.open = threading.Event()
        self.entered = threading.Event()
        self.error: Exception | None = None
        self.tries = 0

    def write(self, text: str, /) -> None:
        self.tries += 1
        self.entered.set()
        self.open.wait(30)
        if self.error is not None:
            raise self.error
        self.text.write(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(text) for text in self.text.getvalue().splitlines()]


@pytest.fixture
def gate() -> Gate:
    return Gate()


OpenLog = Callable[..., AuditLog]


@pytest.fixture
def open_log() -> Iterator[OpenLog]:
    """Open audit logs that are closed at the end."""
    logs: list[AuditLog] = []

    def open_log(sink: str | os.PathLike[str] | logging.Handler | Gate, capacity: int = 10_000) -> AuditLog:
        logs.append(AuditLog(sink, capacity=capacity, clock=lambda: NOW))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


def paths(file: Path) -> list[str]:
    return [json.loads(text)["path"] for text in file.read_text().splitlines()]


def test_lines_come_in_their_order(tmp_path: Path, open_log: OpenLog) -> None:
    """A file holds all that was recorded, in order, without a flush for each."""
    log = open_log(tmp_path / "audit.log")

    for number in range(5_000):
        log.record(entry(path=f"/{number}"))

    assert log.flush()
    assert paths(tmp_path / "audit.log") == [f"/{number}" for number in range(5_000)]


def test_lines_come_without_a_flush(gate: Gate, open_log: OpenLog) -> None:
    """A line is written soon after it was recorded."""
    gate.open.set()

    open_log(gate).record(entry())

    assert gate.entered.wait(10)


def test_the_middleware_and_management_call_it_so(gate: Gate, open_log: OpenLog) -> None:
    """The two calls by name make the same lines as the bare entries."""
    gate.open.set()
    log = open_log(gate)

    log.decision(*entry())
    log.event(NOW, "token.created", owner="alice", token="2f")

    assert log.flush()
    assert gate.lines() == [told(entry()), told((NOW, "token.created", {"owner": "alice", "token": "2f"}))]


def test_an_entry_that_is_none_costs_one_line(gate: Gate, open_log: OpenLog, caplog: pytest.LogCaptureFixture) -> None:
    """What can't be written down is counted as dropped, and those that were gathered with it are written."""
    log = open_log(gate)
    gate.open.set()

    log.event(NOW, "token.created", owner="alice")
    log.event(NOW, "token.created", owner=cast(str, object()))
    log.event(NOW, "token.created", owner="bob")

    assert log.flush()
    lines = gate.lines()
    assert [line.get("owner", line.get("count")) for line in lines] == ["alice", "bob", 1]
    assert "can't be written down" in caplog.text


def test_an_event_takes_no_unknown_field(open_log: OpenLog, gate: Gate) -> None:
    """Nothing gets into the log by mistake: a field that is not on the list is refused."""
    with pytest.raises(TypeError, match="no field 'secret'"):
        open_log(gate).event(NOW, "token.created", secret="pat_…")


def test_a_slow_sink_blocks_nobody(gate: Gate, open_log: OpenLog) -> None:
    """While the sink stands still entries are queued up to the capacity; the rest is dropped, counted, and told of."""
    log = open_log(gate, capacity=10)
    log.record(entry(path="/first"))
    assert gate.entered.wait(10)

    for number in range(15):
        log.record(entry(path=f"/{number}"))

    assert log.dropped == 5
    gate.open.set()
    assert log.flush()
    written = gate.lines()
    assert [seen["path"] for seen in written if "path" in seen] == ["/first", *(f"/{number}" for number in range(10))]
    assert [seen for seen in written if "path" not in seen] == [
        {"time": "2026-04-15T10:30:00.123Z", "event": "audit.dropped", "count": 5}
    ]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a sink's own")])
def test_a_failing_sink_is_tried_again(
    error: Exception, gate: Gate, open_log: OpenLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines that can't be written are kept; the log says so once; nothing is lost when the sink takes them again."""
    gate.error = error
    gate.open.set()
    log = open_log(gate)

    with caplog.at_level(logging.WARNING, "patmiddleware"):
        log.record(entry(path="/1"))
        first = log.flush()
        log.record(entry(path="/2"))
        log.flush()
    gate.error = None

    assert (first, log.flush()) == (False, True)
    assert [seen["path"] for seen in gate.lines()] == ["/1", "/2"]
    assert [record.getMessage() for record in caplog.records] == [
        f"the audit log can't be written, its lines are kept and tried again: {error}"
    ]


def test_a_full_disk_raises_nothing(open_log: OpenLog, caplog: pytest.LogCaptureFixture) -> None:
    """On a device without room every entry is taken, and none is claimed to be written."""
    if not os.path.exists("/dev/full"):
        pytest.skip("platform: there is no /dev/full")
    log = open_log("/dev/full", capacity=10)

    for _ in range(30):
        log.record(entry())

    assert not log.flush()
    assert log.dropped > 0
    assert len(caplog.records) == 1


def test_a_torn_line_stays_alone(tmp_path: Path) -> None:
    """Where the disk fills in the middle of a line, that line is written again, whole, on a line of its own."""
    program = """
import resource, signal, sys
from patmiddleware.audit import AuditLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
log = AuditLog(sys.argv[1])
log.event(0.0, "token.created", owner="a" * 20)
log.event(0.0, "token.revoked", owner="b" * 20)
full = log.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(full, log.flush())
"""
    path = tmp_path / "audit.log"

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=True
    )

    created, torn, revoked = path.read_text().splitlines()
    assert done.stdout == "False True\n"
    assert (json.loads(created)["event"], json.loads(revoked)["event"]) == ("token.created", "token.revoked")
    assert revoked.startswith(torn)


FULL = """
import resource, signal, sys
from patmiddleware.audit import AuditLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
log = AuditLog("stdout")
log.event(0.0, "token.created", owner="a" * 20)
log.event(0.0, "token.revoked", owner="b" * 20)
full = log.flush(), log.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(*full, log.flush(), file=sys.stderr)
"""


@pytest.mark.parametrize("options", [[], ["-u"]], ids=["buffered", "unbuffered"])
def test_no_line_comes_twice_on_standard_output(options: list[str], tmp_path: Path) -> None:
    """Where standard output is a file on a full disk, no line comes twice and none is lost."""
    with open(tmp_path / "out", "w", encoding="ascii") as out:
        done = subprocess.run(
            [sys.executable, *options, "-c", FULL],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )

    created, torn, revoked = (tmp_path / "out").read_text().splitlines()
    assert done.stderr.splitlines()[-1] == "False False True"
    assert (json.loads(created)["event"], json.loads(revoked)["event"]) == ("token.created", "token.revoked")
    assert revoked.startswith(torn)


def test_half_a_line_of_another_process_stays_alone(tmp_path: Path, open_log: OpenLog) -> None:
    """What a process that is gone left half written, before or meanwhile, is followed by a line of its own."""
    path = tmp_path / "audit.log"
    path.write_text('{"time":"2026')
    log = open_log(path)

    log.record(entry(path="/1"))
    first = log.flush()
    with path.open("a") as other:
        other.write('{"ti')
    log.record(entry(path="/2"))

    assert (first, log.flush()) == (True, True)
    before, one, between, two = path.read_text().splitlines()
    assert (before, between) == ('{"time":"2026', '{"ti')
    assert [json.loads(text)["path"] for text in (one, two)] == ["/1", "/2"]


def test_a_file_is_for_its_owner_alone(tmp_path: Path, open_log: OpenLog) -> None:
    """The log is made with mode 0600, whatever the umask says."""
    path = tmp_path / "audit.log"
    before = os.umask(0)
    try:
        log = open_log(f"file:{path}")
        log.record(entry())
        assert log.flush()
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_appended_to(tmp_path: Path, open_log: OpenLog) -> None:
    """What stood in the file before stays."""
    path = tmp_path / "audit.log"
    path.write_text("before\n")
    log = open_log(str(path))

    log.record(entry())

    assert log.flush()
    assert path.read_text().startswith("before\n{")


def test_a_rotated_file_is_opened_anew(tmp_path: Path, open_log: OpenLog) -> None:
    """Once the file was moved away, the next line goes into a new one, without a signal."""
    path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    log = open_log(path)
    log.record(entry(path="/old"))
    assert log.flush()

    path.rename(old)
    log.record(entry(path="/new"))

    assert log.flush()
    assert (paths(old), paths(path)) == (["/old"], ["/new"])


def test_closing_writes_and_a_later_entry_opens_again(tmp_path: Path, open_log: OpenLog) -> None:
    """Close leaves nothing behind, and is not the end."""
    path = tmp_path / "audit.log"
    log = open_log(path)
    log.record(entry(path="/1"))

    assert log.close()
    log.record(entry(path="/2"))

    assert log.close()
    assert paths(path) == ["/1", "/2"]


@pytest.mark.parametrize("address", ["stdout", "-"])
def test_lines_go_to_stdout(address: str, open_log: OpenLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is what it is when the line is written."""
    log = open_log(address)

    log.record(entry())

    assert log.flush()
    assert capsys.readouterr().out == line(entry())


def test_a_logging_handler_is_a_sink(open_log: OpenLog) -> None:
    """Any handler of the standard library gets each line as a record."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    log = open_log(handler)

    log.record(entry())

    assert log.flush()
    assert stream.getvalue() == "patmiddleware.audit INFO " + line(entry())


def test_what_a_handler_loses_is_counted(
    gate: Gate, open_log: OpenLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that a handler could not write is counted; it is told of once others get through, not again and again."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    gate.open.set()
    handler = logging.StreamHandler(gate)
    handler.addFilter(copy.copy)  # from Python 3.12 on a filter may give another record
    log = open_log(handler)

    gate.error = OSError(errno.ENOSPC, "No space left on device")
    log.record(entry(path="/1"))
    log.record(entry(path="/2"))
    failed = log.flush(), log.flush(), log.dropped, gate.tries
    gate.error = None
    log.record(entry(path="/3"))

    assert failed == (False, False, 2, 2)
    assert (log.flush(), log.dropped) == (True, 2)
    assert [seen.get("path", seen.get("count")) for seen in gate.lines()] == ["/3", 2]
    assert [record.getMessage() for record in caplog.records] == [
        "the audit log can't be written, its lines are lost and counted: StreamHandler could not write a line"
    ]


def test_a_handler_that_raises_gets_no_line_twice(open_log: OpenLog) -> None:
    """What a handler took before one at which it raised is not given to it again."""
    seen = list[str]()

    class Picky(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if "/2" in message and len(seen) < 3:
                seen.append("raised")
                raise OSError("not now")
            seen.append(json.loads(message)["path"])

    log = open_log(Picky())

    for number in range(1, 4):
        log.record(entry(path=f"/{number}"))

    assert [log.flush() for _ in range(3)] == [False, False, True]
    assert seen == ["/1", "raised", "raised", "/2", "/3"]


NOT_SINKS = [
    ("", "'' is no file"),
    ("file:", "'' is no file"),
    (".", "'.' is no file"),
    ("no/such/folder/audit.log", "'no/such/folder' for the audit log is no directory"),
    ("redis://localhost/0", "'redis://localhost/0' can't be an audit log"),
]


@pytest.mark.parametrize(("address", "message"), NOT_SINKS)
def test_what_can_be_no_sink_is_refused_at_start(address: str, message: str) -> None:
    """A path that can't be written to is told at once, not at the first request."""
    with pytest.raises(ConfigurationError, match=message):
        AuditLog(address)


def test_a_capacity_of_nothing_is_refused() -> None:
    """A log that may keep nothing waiting would drop everything."""
    with pytest.raises(ConfigurationError, match="0 lines"):
        AuditLog("-", capacity=0)


def run(program: str, path: Path) -> list[str]:
    """Run a program in a process of its own and give the names of the events that it wrote."""
    begin = "import os, sys\nfrom patmiddleware.audit import AuditLog\nlog = AuditLog(sys.argv[1])\n"
    subprocess.run([sys.executable, "-c", begin + program, str(path)], timeout=60, check=True)
    return [json.loads(text)["event"] for text in path.read_text().splitlines()]


def test_exit_writes_what_waits(tmp_path: Path) -> None:
    """A process that ends loses no line."""
    program = "for number in range(3): log.event(0.0, f'token.{number}')"

    assert run(program, tmp_path / "audit.log") == ["token.0", "token.1", "token.2"]


def test_forked_processes_share_a_file(tmp_path: Path) -> None:
    """Each process writes its own lines, once, and none of them runs into another's."""
    program = """
log.event(0.0, "token.before")
log.flush()
log.event(0.0, "token.parent")
children = []
for number in range(3):
    child = os.fork()
    if not child:
        for _ in range(500):
            log.event(0.0, f"token.{number}")
        sys.exit()
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""

    names = run(program, tmp_path / "audit.log")

    assert {name: names.count(name) for name in set(names)} == {
        "token.before": 1, "token.parent": 1, "token.0": 500, "token.1": 500, "token.2": 500,
    }  # fmt: skip


def test_a_handler_that_hangs_does_not_keep_a_process_from_ending(tmp_path: Path) -> None:
    """At exit logging asks every handler for its lock, which one that hangs would never give."""
    program = """
import logging, threading
import patmiddleware.background as room
room.EXIT_SECONDS = 0.1
hanging = threading.Event()
class Hanging(logging.Handler):
    def emit(self, record):
        hanging.set()
        threading.Event().wait()
stuck = AuditLog(Hanging())
stuck.event(0.0, "token.created")
hanging.wait()
log.event(0.0, "token.ended")
log.flush()
"""

    assert run(program, tmp_path / "audit.log") == ["token.ended"]
