"""Ways of being somebody, through the gate and over connections that are kept alive, to a Jira that is strict."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from services.gated import SERVICE, Gated, gated
from services.jira import PASSWORDS, JiraServer, application_link, key_pair
from services.running import free_port
from upstreams import ALICE, get

from patmiddleware.errors import LinkError
from patmiddleware.forwarder.dance import Dance
from patmiddleware.forwarder.strategies import from_credential
from patmiddleware.forwarder.transport import PooledTransport
from patmiddleware.model import UpstreamCredential

LOGIN = "/jira/rest/auth/1/session"


def ask(chain: Gated, token: str, path: str = "/rest/api/2/myself") -> tuple[int, str]:
    request = urllib.request.Request(chain.url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def logins(chain: Gated) -> int:
    return [(seen.method, seen.target) for seen in chain.jira.log].count(("POST", LOGIN))


def cookie(state: Path, password: str) -> dict[str, Any]:
    return {"kind": "cookie", "username": SERVICE, "password": password, "state": state}


def test_many_clients_make_one_login(tmp_path: Path) -> None:
    """Twenty that come at once find one session."""
    with gated(auth=cookie(tmp_path, PASSWORDS[SERVICE])) as chain, ThreadPoolExecutor(20) as pool:
        token = chain.token("READ")
        statuses = list(pool.map(lambda _: ask(chain, token)[0], range(40)))

        assert (statuses, logins(chain)) == ([200] * 40, 1)


def test_a_wrong_password_never_locks_the_service_account(tmp_path: Path) -> None:
    """However many requests come, and however often it is restarted, Jira sees one login; the client hears why."""
    port, tried, failures = free_port(), [], []
    for _ in range(3):
        with gated(auth=cookie(tmp_path, "wrong"), standin={"port": port}) as chain:
            token = chain.token("READ")
            answers = [ask(chain, token) for _ in range(5)]
            tried.append(logins(chain))
            failures.append(chain.jira.standin.accounts.failures(SERVICE))

        assert {status for status, _ in answers} == {502}
        assert "refuses the password of the account" in answers[0][1]
        assert "wrong" not in "".join(body for _, body in answers)
    assert (tried, failures) == ([1, 0, 0], [1, 0, 0])


SEARCH = (
    "/rest/api/2/search?jql=project%20%3D%20DEMO%20ORDER%20BY%20key&fields=summary,status&maxResults=2&startAt=0&x=a+b"
)
TARGETS = [
    SEARCH,
    "/rest/api/2/search?jql=summary+~+%22%C3%A4%26b%22&fields=a&fields=b&&validateQuery=",
    '/rest/api/2/search?jql=project=DEMO&fields[]=x&y={"a":"b|c"}&z=1;2&%zz=%',
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("impersonate", [False, True])
def test_a_signature_holds_for_what_arrives(target: str, impersonate: bool) -> None:
    """Whatever is written anew on the way is written so before it is signed."""
    auth = {"kind": "oauth1", "consumer_key": "gate", "private_key": key_pair()[0], "impersonate": impersonate}
    with gated(auth=auth) as chain:
        token = chain.token("READ")
        address = target.replace('"', "%22").replace("{", "%7b").replace("}", "%7D").replace("|", "%7c")

        assert ask(chain, token, address)[0] == 200


@pytest.fixture
def server(start_jira: Callable[..., JiraServer]) -> JiraServer:
    return start_jira(context="/jira", links=[application_link()])


def test_a_user_allows_the_link(server: JiraServer) -> None:
    """Three legs, and then requests are the user's."""
    transport = PooledTransport(server.url)
    dance = Dance(server.url, "gate", key_pair()[0], transport)
    pending = dance.begin()
    request = pending.token.reveal()
    credential = dance.finish(pending, server.standin.links.approve(request, "bob"))
    shared = {"consumer_key": "gate", "private_key": key_pair()[0]}

    assert who(server, transport, credential, shared) == "bob"
    transport.close()


def who(
    server: JiraServer, transport: PooledTransport, credential: UpstreamCredential, shared: dict[str, Any]
) -> str | None:
    way = from_credential(credential, shared, upstream=server.url, transport=transport)
    response = transport.send(way.sign(get(), ALICE))
    list(response.stream())
    response.close()
    return {name.lower(): value for name, value in response.headers}.get("x-ausername")


def test_a_user_denies_the_link(server: JiraServer) -> None:
    """Whether the word comes from the browser, or from the upstream."""
    transport = PooledTransport(server.url)
    dance = Dance(server.url, "gate", key_pair()[0], transport)
    pending = dance.begin()
    server.standin.links.deny(pending.token.reveal())

    for verifier in ("denied", "v3r1f"):
        with pytest.raises(LinkError, match="did not allow it"):
            dance.finish(pending, verifier)
    transport.close()


def test_an_unknown_consumer_is_told(server: JiraServer) -> None:
    """With the setting to look at."""
    transport = PooledTransport(server.url)

    with pytest.raises(LinkError, match=r"consumer_key_unknown.*app\.auth\.consumer_key"):
        Dance(server.url, "stranger", key_pair()[0], transport).begin()
    transport.close()
