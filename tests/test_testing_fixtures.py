"""The fixtures serve whoever tests with tokens, and stand in nobody's way; each test runs pytest as a newcomer does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

APP = """
from patmiddleware import PATMiddleware, Policy, grant_from

POLICY = Policy.from_dict({
    "scopes": {"read": {}, "write": {}},
    "rule": [
        {"path": "/**", "methods": ["GET"], "scopes": ["read"]},
        {"path": "/**", "methods": ["POST"], "scopes": ["write"]},
    ],
})

def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello {grant_from(environ).owner}".encode()]

def make_app(store, **options):
    return PATMiddleware(hello, store, policy=POLICY, **options)
"""


# Every warning is an error, but for that of WebOb, which WebTest stands on.
SETTINGS = """
[pytest]
filterwarnings =
    error
    ignore:.cgi. is deprecated:DeprecationWarning
"""


def pytest_in(folder: Path, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with ``app.py`` and the files that are given."""
    (folder / "pytest.ini").write_text(SETTINGS)
    for name, text in {"app": APP, **files}.items():
        (folder / f"{name}.py").write_text(dedent(text), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest in a folder with ``test_it.py``."""
    return lambda test, *options: pytest_in(tmp_path, *options, test_it=test)


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of what pytest printed, without the time."""
    lines = done.stdout.strip().splitlines() or [done.stderr]
    return re.sub(r" in [\d.]+s.*", "", lines[-1])


SERVES = {
    "two lines test a view": """
        from app import make_app

        def test_hello(pat_client, pat_store):
            assert pat_client(make_app(pat_store), scopes={"read"}).get("/").text == "Hello alice"
    """,
    "a token is made, sent and refused": """
        import pytest
        from app import make_app
        from patmiddleware import Reason, Secret
        from patmiddleware.testing import assert_granted, assert_refused

        @pytest.fixture
        def app(pat_store):
            return make_app(pat_store)

        def test_reading(app, mint, pat_client):
            minted = mint(owner="bob", name="ci", scopes={"read"})
            for token in (minted, minted.secret, Secret(minted.secret)):
                client = pat_client(app, token)
                assert assert_granted(client.get("/"), scopes={"read"}).owner == "bob"
                assert_refused(client.post("/", status=403), Reason.INSUFFICIENT_SCOPE, needed={"write"})

        def test_basic(app, pat_client):
            assert pat_client(app, owner="carol", scopes=["read"], scheme="basic").get("/").text == "Hello carol"
    """,
    "a token expires": """
        from datetime import UTC, datetime, timedelta
        from app import make_app
        from patmiddleware import Reason
        from patmiddleware.testing import assert_refused

        def test_expiry(pat_store, mint, pat_client, frozen_clock):
            minted = mint(scopes={"read"}, lifetime=timedelta(hours=1))
            client = pat_client(make_app(pat_store, clock=frozen_clock), minted)
            client.get("/")
            frozen_clock.advance(timedelta(minutes=59))
            client.get("/")
            frozen_clock.advance(60)
            assert_refused(client.get("/", status=401), Reason.EXPIRED)

        def test_set(mint, frozen_clock):
            frozen_clock.set(datetime(2026, 2, 28, tzinfo=UTC))
            minted = mint(lifetime=timedelta(days=1))
            assert (minted.token.created, minted.token.expires) == (
                datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
            )
    """,
    "a gate with the real clock takes the tokens": """
        from datetime import timedelta
        from app import make_app

        def test_hello(pat_store, mint, pat_client):
            minted = mint(scopes={"read"}, lifetime=timedelta(hours=1))
            assert pat_client(make_app(pat_store), minted).get("/").text == "Hello alice"
    """,
    "a token is revoked": """
        from app import make_app
        from patmiddleware import Reason
        from patmiddleware.testing import assert_refused

        def test_revocation(pat_store, pat_issuer, mint, pat_client):
            minted = mint(scopes={"read"})
            client = pat_client(make_app(pat_store), minted)
            client.get("/")
            pat_issuer.revoke(minted.token.id)
            assert_refused(client.get("/", status=401), Reason.REVOKED)
    """,
    "each test has a store and a clock of its own": """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_alone(pat_store, mint, pat_clock, frozen_clock, number):
            mint()
            assert len(pat_store.list()) == 1
            assert pat_clock is frozen_clock
    """,
    "another store stands behind all": """
        import pytest
        from app import make_app
        from patmiddleware import Reason
        from patmiddleware.testing import assert_refused

        @pytest.fixture
        def pat_store(pat_flaky_store):
            return pat_flaky_store

        def test_outage(pat_store, pat_client, frozen_clock):
            client = pat_client(make_app(pat_store, clock=frozen_clock), scopes={"read"})
            client.get("/")
            pat_store.down = True
            frozen_clock.advance(1)
            assert_refused(client.get("/", status=503), Reason.UNAVAILABLE)
            pat_store.down = False
            client.get("/")
    """,
    "an issuer of one's own knows the policy": """
        import pytest
        from app import POLICY
        from patmiddleware import Issuer, RefusedError

        @pytest.fixture
        def pat_issuer(pat_store):
            return Issuer(pat_store, policy=POLICY)

        def test_unknown_scope(mint, pat_client):
            mint(scopes={"write"})
            with pytest.raises(RefusedError):
                mint(scopes={"wrote"})
            with pytest.raises(RefusedError):
                pat_client(None, scopes={"wrote"})
    """,
    "a token that is given needs no store that can be written": """
        import pytest
        from patmiddleware import PATMiddleware, Token
        from app import hello

        class Reader:
            def find(self, secret):
                return Token(id="t1", owner="dan") if secret.reveal() == "abc" else None

        @pytest.fixture
        def pat_store():
            return Reader()

        def test_hello(pat_store, pat_client):
            assert pat_client(PATMiddleware(hello, pat_store), "abc").get("/").text == "Hello dan"
    """,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of them, each in a file of its own."""
    files = {f"test_{number}": test for number, test in enumerate(SERVES.values())}
    return pytest_in(tmp_path_factory.mktemp("served"), "-rA", **files).stdout


@pytest.mark.parametrize("name", SERVES)
def test_the_fixtures_serve(name: str, served: str) -> None:
    """A file of tests needs nothing but their names."""
    outcomes = re.findall(rf"^(PASSED|FAILED|ERROR) test_{list(SERVES).index(name)}\.py", served, re.MULTILINE)

    assert outcomes, served
    assert set(outcomes) == {"PASSED"}, served


def test_a_client_for_a_token_takes_no_scopes(run: Run) -> None:
    """They would not be the token's: the test that asks for both is told so."""
    done = run("""
        def test_both(pat_client, mint):
            pat_client(None, mint(), scopes={"read"})
        def test_owner(pat_client):
            pat_client(None, "x", owner="bob")
    """)

    assert outcome(done) == "2 failed"
    assert done.stdout.count("a token that is given has its owner and scopes (give them to mint(") >= 2


IN_NOBODY_S_WAY = {
    "names of one's own": """
        import pytest

        @pytest.fixture
        def mint():
            return "peppermint"

        @pytest.fixture
        def frozen_clock():
            return "stopped"

        def test_mine(mint, frozen_clock):
            assert (mint, frozen_clock) == ("peppermint", "stopped")

        def test_yours_go_on(pat_client, pat_issuer, pat_store, pat_clock):
            from app import make_app
            assert pat_client(make_app(pat_store), scopes={"read"}).get("/").text == "Hello alice"
    """,
    "a clock of one's own": """
        import pytest

        @pytest.fixture
        def frozen_clock():
            raise RuntimeError("nobody asked for this")

        def test_ours_go_on(mint, pat_client):
            assert mint().token.owner == "alice"
            assert pat_client(None) is not None
    """,
    "nothing is loaded that nobody asked for": """
        import sys

        def test_modules():
            ours = {name for name in sys.modules if name.partition(".")[0] == "patmiddleware"}
            assert ours <= {
                "patmiddleware", "patmiddleware.errors", "patmiddleware.frontdoor", "patmiddleware.testing",
                "patmiddleware.testing.fixtures",
            }
            others = {"sqlalchemy", "flask", "pyramid", "webtest", "werkzeug", "webob", "jwt", "cachetools", "passlib"}
            assert others.isdisjoint(sys.modules)
    """,
    "no fixture is used unasked": """
        def test_alone(request):
            assert {"mint", "frozen_clock", "pat_store", "pat_clock"}.isdisjoint(request.fixturenames)
    """,
}


@pytest.mark.parametrize("test", IN_NOBODY_S_WAY.values(), ids=IN_NOBODY_S_WAY)
def test_the_plugin_is_in_nobody_s_way(test: str, run: Run) -> None:
    """Neither where a project has fixtures with the same names, nor where it knows nothing of tokens."""
    done = run(test)

    assert re.fullmatch(r"\d passed", outcome(done)), done.stdout


def test_the_plugin_can_be_switched_off(run: Run) -> None:
    """As any other, by its name."""
    done = run("def test_mint(mint): pass", "-p", "no:patmiddleware")

    assert outcome(done) == "1 error"
    assert "fixture 'mint' not found" in done.stdout


def test_the_plugin_gives_just_these_fixtures(run: Run) -> None:
    """With a sentence for each, as ``pytest --fixtures`` shows them."""
    done = run("", "--fixtures")

    shown = re.findall(r"^(\w+) -- .*patmiddleware.*\n +(\S.*)$", done.stdout, re.MULTILINE)
    names = ["frozen_clock", "mint", "pat_client", "pat_clock", "pat_flaky_store", "pat_issuer", "pat_store"]
    assert sorted(name for name, _ in shown) == names


def test_a_failure_points_at_the_test(run: Run) -> None:
    """Not into this package, and says what came."""
    done = run("""
        from app import make_app
        from patmiddleware import Reason
        from patmiddleware.testing import assert_refused

        def test_reading(pat_store, pat_client):
            response = pat_client(make_app(pat_store), scopes={"read"}).get("/")
            assert_refused(response, Reason.INSUFFICIENT_SCOPE, needed={"write"})
    """)

    assert outcome(done) == "1 failed"
    assert "E       AssertionError: expected: refused with 403 insufficient_scope, needed: write" in done.stdout
    assert "E       came:     200 text/plain" in done.stdout
    assert re.search(r"^test_it\.py:8: AssertionError$", done.stdout, re.MULTILINE), done.stdout
