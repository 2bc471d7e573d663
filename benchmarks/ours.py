"""The limit that nothing can beat, written by hand, and our own gate in each condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b, sha256
from itertools import count, cycle
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, TypeAlias

from patmiddleware import AuditLog, PATMiddleware, Secret, Token, TokenReader

from .material import EXPIRES, OWNER, PATH, Environ, application, basic, bearer, environ, policy, secrets, store
from .measure import Case, WrongAnswerError, changing, prove, requests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication

Known: TypeAlias = Mapping[bytes, tuple[str, float]]

LOADED = 10_000
MANY = 100_000
PEPPER = b"a pepper of the benchmark's own."


def known(secrets: list[str], digest: Callable[[bytes], bytes] | None = None) -> dict[bytes, tuple[str, float]]:
    """Give owner and expiry by digest, for gates that are written by hand."""
    digest = digest or (lambda secret: sha256(secret).digest())
    return {digest(secret.encode()): (OWNER, EXPIRES.timestamp()) for secret in secrets}


def limit(app: WSGIApplication, known: Known) -> WSGIApplication:
    """Do what no gate can leave out: take the token, digest it, look it up, see whether it lives, say whose it is."""

    def gate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        header = environ.get("HTTP_AUTHORIZATION", "")
        if not header.startswith("Bearer "):
            return _unauthorized(start_response)
        found = known.get(sha256(header[7:].encode()).digest())
        if found is None or found[1] <= time():
            return _unauthorized(start_response)
        environ["limit.owner"] = found[0]
        return app(environ, start_response)

    return gate


def keyed_limit(app: WSGIApplication, known: Known) -> WSGIApplication:
    """Do the same with a pepper."""

    def gate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        header = environ.get("HTTP_AUTHORIZATION", "")
        if not header.startswith("Bearer "):
            return _unauthorized(start_response)
        found = known.get(blake2b(header[7:].encode(), key=PEPPER, digest_size=32).digest())
        if found is None or found[1] <= time():
            return _unauthorized(start_response)
        environ["limit.owner"] = found[0]
        return app(environ, start_response)

    return gate


def _unauthorized(start_response: StartResponse) -> Iterable[bytes]:
    start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")])
    return [b"no"]


class Hot:
    """One token of 10,000, asking for the same thing again and again."""

    def __init__(self) -> None:
        self.secrets = secrets(LOADED)
        self.secret = self.secrets[LOADED // 2]
        self.right = environ(HTTP_AUTHORIZATION=bearer(self.secret))
        self.basic = environ(HTTP_AUTHORIZATION=basic(self.secret))
        self.none = environ(HTTP_AUTHORIZATION=None)
        self.unknown = environ(HTTP_AUTHORIZATION=bearer(secrets(1, seed=2)[0]))
        self.post = self.right | {"REQUEST_METHOD": "POST", "PATH_INFO": "/part4", "RAW_URI": "/part4"}
        self.proof = [(self.right, 200), (self.none, 401), (self.unknown, 401)]
        self.alone = requests(application, self.right)
        self._gate = PATMiddleware(application, store(self.secrets), policy=policy(100))

    def limit(self) -> Case:
        """The limit."""
        app = limit(application, known(self.secrets))
        prove("the limit", app, self.proof)
        return Case(requests(app, self.right), self.alone)

    def keyed_limit(self) -> Case:
        """The limit with a pepper."""
        digests = known(self.secrets, lambda secret: blake2b(secret, key=PEPPER, digest_size=32).digest())
        app = keyed_limit(application, digests)
        prove("the keyed limit", app, self.proof)
        return Case(requests(app, self.right), self.alone)

    def bearer(self) -> Case:
        """Ours, with a policy of 100 rules; scrub and path check as always; no audit."""
        return self._ours(self.right, 200)

    def by_basic(self) -> Case:
        """The same token in place of a password."""
        prove("ours, Basic", self._gate, [(environ(HTTP_AUTHORIZATION=basic(self.secret, "bob")), 401)])
        return self._ours(self.basic, 200)

    def missing(self) -> Case:
        """A refusal: no credential."""
        return self._ours(self.none, 401)

    def unknown_token(self) -> Case:
        """A refusal: a token that does not exist."""
        return self._ours(self.unknown, 401)

    def scope(self) -> Case:
        """A refusal: the scope is too small."""
        return self._ours(self.post, 403)

    def _ours(self, environ: Environ, status: int) -> Case:
        prove("ours", self._gate, [*self.proof, (self.post, 403), (environ, status)])
        return Case(requests(self._gate, environ), self.alone)

    def everything(self, folder: Path) -> Case:
        """Ours with an audit log in a file, last use and a request id; what is done behind the requests counts."""
        path = folder / "audit.jsonl"
        audit = AuditLog(path)
        gate = PATMiddleware(application, store(self.secrets), policy=policy(100), audit=audit)
        prove("ours, everything on", gate, self.proof)
        hot = requests(gate, self.right)

        def run(count: int) -> None:
            # In portions that the queue holds: a line that is dropped costs nothing.
            for done in range(0, count, 5_000):
                hot(min(5_000, count - done))
                if not audit.flush() or audit.dropped:
                    raise WrongAnswerError("ours, everything on: a line of the audit log was lost")

        run(10)
        lines = path.read_text().count("\n")
        if lines != len(self.proof) + 10:
            raise WrongAnswerError(f"ours, everything on: {len(self.proof) + 10} requests left {lines} lines")
        return Case(run, self.alone)


class Rotation:
    """10,000 tokens in turn, of 100,000."""

    def __init__(self) -> None:
        self.secrets = secrets(MANY)
        self.used = [bearer(secret) for secret in self.secrets[:: MANY // LOADED]]

    def limit(self) -> Case:
        """The limit in this condition."""
        return self._case(limit(application, known(self.secrets)))

    def ours(self) -> Case:
        """Ours, with every token in the cache."""
        reader = _Counting(store(self.secrets))
        case = self._case(PATMiddleware(application, reader, policy=policy(100)))
        case.run(len(self.used))
        asked = reader.asked
        case.run(len(self.used))
        if reader.asked != asked:
            raise WrongAnswerError("rotation: the store was asked for tokens that should have been in the cache")
        return case

    def _case(self, app: WSGIApplication) -> Case:
        first, last = ({"HTTP_AUTHORIZATION": header} for header in (self.used[0], self.used[-1]))
        unknown = environ(HTTP_AUTHORIZATION=bearer(secrets(1, seed=2)[0]))
        prove("rotation", app, [(environ(**first), 200), (environ(**last), 200), (unknown, 401)])
        key = ("HTTP_AUTHORIZATION",)
        return Case(
            changing(app, environ(), key, cycle(self.used)),
            changing(application, environ(), key, cycle(self.used)),
        )


class _Counting:
    """A reader that counts how often it is asked."""

    def __init__(self, reader: TokenReader) -> None:
        self._reader, self.asked = reader, 0

    def find(self, secret: Secret) -> Token | None:
        self.asked += 1
        return self._reader.find(secret)

    def revision(self) -> int:
        return 0


def cold(rules: int) -> Case:
    """Paths that were never asked for before, judged by so many rules."""
    secret = secrets(1)[0]
    request = environ(HTTP_AUTHORIZATION=bearer(secret))
    gate = PATMiddleware(application, store([secret]), policy=policy(rules))
    nowhere = request | {"PATH_INFO": "/nowhere", "RAW_URI": "/nowhere"}
    prove(f"{rules} rules", gate, [(request, 200), (nowhere, 403)])
    keys = ("PATH_INFO", "RAW_URI")
    return Case(changing(gate, request, keys, _paths()), changing(application, request, keys, _paths()))


def _paths() -> Iterator[str]:
    return (f"{PATH}{n}" for n in count())
