"""A service account by its password: known to be taken before it goes with requests, and never one too many."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gate import call, request
from services.gated import SERVICE, Gated, gated
from services.jira import PASSWORDS
from services.running import free_port
from upstreams import ALICE, get, serving
from werkzeug import Request, Response

from patmiddleware import Issuer, PATMiddleware, open_store
from patmiddleware.errors import LinkError, UpstreamError
from patmiddleware.forwarder import Forwarder
from patmiddleware.forwarder.strategies import BasicLogin
from patmiddleware.forwarder.strategies.basic import PATIENCE
from patmiddleware.forwarder.transport import PooledTransport


def basic(state: Path, password: str = PASSWORDS[SERVICE]) -> dict[str, Any]:
    return {"kind": "basic", "username": SERVICE, "password": password, "state": state}


def ask(chain: Gated, token: str, path: str = "/rest/api/2/myself") -> tuple[int, str]:
    request = urllib.request.Request(chain.url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_wrong_password_never_locks_the_account(tmp_path: Path) -> None:
    """However many requests come, at once or after a restart, the upstream sees it twice; the client hears why."""
    port, failures = free_port(), []
    for _ in range(2):
        with (
            gated(auth=basic(tmp_path, "wrong"), standin={"port": port}) as chain,
            ThreadPoolExecutor(10) as pool,
        ):
            token = chain.token("READ")
            answers = list(pool.map(lambda _: ask(chain, token), range(10)))  # noqa: B023 - used in this round
            failures.append(chain.jira.standin.accounts.failures(SERVICE))

        assert {status for status, _ in answers} == {502}
        assert sum("refused the password of the account" in body for _, body in answers) >= 9
        assert "wrong" not in "".join(body for _, body in answers)
    assert failures == [2, 0]


def sent(login: BasicLogin, transport: PooledTransport) -> int | None:
    """Send what a client asks, as the forwarder does; give the status, or None where nothing may go out."""
    try:
        response = transport.send(login.sign(get(), ALICE))
    except LinkError:
        return None
    response.close()
    (login.refused if response.status == 401 else login.taken)(ALICE)
    return response.status


def test_a_wrong_password_is_sent_twice_by_all_processes(tmp_path: Path) -> None:
    """Each has its first request, as it has after each restart; none is one try more."""
    with gated(auth=basic(tmp_path)) as chain:
        transport = PooledTransport(chain.jira.url)
        logins = [BasicLogin(transport, chain.jira.url, SERVICE, "wrong", state=tmp_path) for _ in range(4)]
        statuses = [sent(login, transport) for login in logins]
        transport.close()

        assert (statuses, chain.jira.standin.accounts.failures(SERVICE)) == ([401, None, None, None], 2)


def test_a_changed_password_is_sent_twice_by_all_processes(tmp_path: Path) -> None:
    """Though it was proved in each of them, what one hears counts for all."""
    with gated(auth=basic(tmp_path)) as chain:
        transport = PooledTransport(chain.jira.url)
        logins = [BasicLogin(transport, chain.jira.url, SERVICE, PASSWORDS[SERVICE], state=tmp_path) for _ in range(4)]
        before = [sent(login, transport) for login in logins]
        chain.jira.standin.accounts.set_password(SERVICE, "another")
        after = [sent(login, transport) for login in logins]
        transport.close()

        assert (before, after) == ([200] * 4, [401, None, None, None])
        assert chain.jira.standin.accounts.failures(SERVICE) == 2


def test_an_upstream_that_fails_proves_no_password(tmp_path: Path) -> None:
    """What stands before Jira may answer while it starts: the next requests wait until the password is made sure of."""
    answers = iter([503, *[401] * 20])

    def answer(_: Request) -> Response:
        return Response(status=next(answers))

    with serving(answer) as site, ThreadPoolExecutor(10) as pool:
        store = open_store("memory:")
        token = Issuer(store).mint(owner="alice", name="ci", scopes={"READ"}).secret
        forwarder = Forwarder(site.url, auth=basic(tmp_path, "wrong"), public_url="https://api.example.org")
        gate = PATMiddleware(forwarder, store)

        def asked(_: int) -> int:
            return call(gate, request("/rest/api/2/myself", f"Bearer {token}")).status

        assert asked(0) == 503
        assert (set(pool.map(asked, range(10))), len(site.asked)) == ({502}, 2)
        forwarder.close()


def test_a_password_is_proved_once_for_all_that_wait(tmp_path: Path) -> None:
    """Where another process's first request is out, one of ours asks, and no note is left of it."""

    def answer(_: Request) -> Response:
        time.sleep(0.5)  # so that the others come while one asks
        return Response()

    with serving(answer) as site, ThreadPoolExecutor(10) as pool:
        transport = PooledTransport(site.url)
        other, login = (BasicLogin(transport, site.url, SERVICE, "right", state=tmp_path) for _ in range(2))
        other.sign(get(), ALICE)
        list(pool.map(lambda _: login.sign(get(), ALICE), range(10)))
        transport.close()

        assert (len(site.asked), list(tmp_path.glob("*.json"))) == (1, [])


def test_a_first_request_that_is_never_heard_of_holds_up_the_next_ones_once(
    tmp_path: Path,
) -> None:
    """Where the upstream could not be reached, each later request finds out for itself, without a wait."""
    url = f"http://127.0.0.1:{free_port()}"
    transport = PooledTransport(url)
    login = BasicLogin(transport, url, SERVICE, "secret", state=tmp_path)
    login.sign(get(), ALICE)  # goes nowhere
    with pytest.raises(UpstreamError):
        login.sign(get(), ALICE)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(UpstreamError):
            login.sign(get(), ALICE)

    assert time.monotonic() - began < 2 * PATIENCE


def test_a_password_that_is_changed_never_locks_the_account(tmp_path: Path) -> None:
    """A request finds out, it is made sure of once, and then no more go out."""
    with gated(auth=basic(tmp_path)) as chain:
        token = chain.token("READ")
        before = ask(chain, token)[0]
        chain.jira.standin.accounts.set_password(SERVICE, "another")
        after = {ask(chain, token)[0] for _ in range(8)}

        assert (before, after, chain.jira.standin.accounts.failures(SERVICE)) == (200, {502}, 2)


def test_a_password_that_is_right_costs_nothing(tmp_path: Path) -> None:
    """The requests of many clients arrive, and nothing else."""
    with gated(auth=basic(tmp_path)) as chain, ThreadPoolExecutor(10) as pool:
        token = chain.token("READ")
        statuses = list(pool.map(lambda _: ask(chain, token)[0], range(20)))

        assert (statuses, len(chain.jira.log)) == ([200] * 20, 20)


def test_a_note_of_another_process_is_heeded(tmp_path: Path) -> None:
    """Where another process was refused, this one sends nothing either, though it was let in before."""
    with gated(auth=basic(tmp_path)) as chain:
        token = chain.token("READ")
        assert ask(chain, token)[0] == 200
        chain.jira.standin.accounts.set_password(SERVICE, "another")
        transport = PooledTransport(chain.jira.url)
        another = BasicLogin(transport, chain.jira.url, SERVICE, PASSWORDS[SERVICE], state=tmp_path)
        another.refused(ALICE)
        with pytest.raises(LinkError, match="refused the password"):
            another.sign(get(), ALICE)
        transport.close()

        assert [ask(chain, token)[0] for _ in range(5)] == [502] * 5
        assert chain.jira.standin.accounts.failures(SERVICE) == 1
