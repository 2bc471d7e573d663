"""What a stranger may implement: where tokens are kept, who people are, what is allowed.

Three outcomes, no fourth: a value, None (there is none), or :class:`~patmiddleware.errors.BackendUnavailable` raised
(it can't be said now). Never return None for an outage: the client would hear "bad token" of a good one. Never raise
anything else: it is answered as an outage, and logged as a fault.

Every method may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from .model import Allowed, Denied, Digest, Grant, Owner, Request, Secret, Token, UpstreamCredential, Use


@runtime_checkable
class TokenReader(Protocol):
    """All that a custom backend needs.

    A reader may show ``prefix`` (of our own token format, ``"pat"``), ``peppers`` (none) and ``foreign`` (True: strings
    of other formats are looked up as well) as attributes; without them these defaults hold. One that shows ``events``
    (:class:`Events`) has them listened to.

    One that keeps its tokens in memory may have ``find_last_good(secret)``, which gives what it last knew: asked for
    while ``find`` fails, as long as ``stale_while_error`` lets the last good state serve.
    """

    def find(self, secret: Secret) -> Token | None:
        """Look a token up by its secret.

        Called on a cache miss only, at most once at a time for one secret. Expired and revoked records are returned as
        they are: the caller judges them.

        Returns:
            The record, or None where no token has this secret.

        Raises:
            BackendUnavailable: when it can't be said.
        """


@runtime_checkable
class Revisioned(Protocol):
    """A reader that can say cheaply whether anything changed. Without it tokens are cached for at most one second."""

    def revision(self) -> int:
        """Count the changes of tokens; a use does not count.

        Raised in the same transaction as the change: whoever sees the old number sees the old tokens.

        Raises:
            BackendUnavailable: when it can't be said.
        """


@runtime_checkable
class TokenStore(TokenReader, Revisioned, Protocol):
    """What management needs, on top of reading."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        """Keep a new token under the digest of its secret; the store digests, with its newest pepper.

        Raises:
            ConflictError: when the id or the digest is taken.
            BackendUnavailable: when it can't be written.
        """

    def get(self, id: str) -> Token | None:
        """Give the record with this id, with its last use, or None."""

    def list(
        self,
        *,
        owner: str | None = None,
        family: str | None = None,
        parent: str | None = None,
        revoked: bool | None = None,
        created_before: datetime | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Token]:
        """Give the records that match every filter that is given, ordered by id.

        Args:
            revoked: True: only revoked ones; False: only those that are not.
            created_before: strictly before.
            after: only ids greater than this one: the last of the page before.
            limit: at most so many.
        """

    def replace(self, token: Token, expected: Token) -> None:
        """Write ``token`` over the record with its id, if that is still ``expected``.

        Last use is neither compared nor written.

        Raises:
            ConflictError: when the record has changed or is gone.
        """

    def remove(self, id: str) -> None:
        """Forget a record; one that is not there is no error."""

    def record_use(self, uses: Mapping[str, Use]) -> None:
        """Keep the last use of each token id. An older use than the kept one, or an unknown id, is passed over.

        Does not raise the revision.
        """

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give every record with its digest, ordered by id: for moving tokens to another store."""


@dataclass(frozen=True, slots=True)
class Add:
    """A change: keep a new token."""

    token: Token
    secret_or_digest: Secret | Digest | str


@dataclass(frozen=True, slots=True)
class Replace:
    """A change: write a record, if it is still the expected one."""

    token: Token
    expected: Token


@dataclass(frozen=True, slots=True)
class Remove:
    """A change: forget a record."""

    id: str


Change: TypeAlias = Add | Replace | Remove


@runtime_checkable
class Transactional(Protocol):
    """A store that can make several changes as one; the shipped ones can. With it a rotation is one transaction."""

    def commit(self, changes: Iterable[Change]) -> None:
        """Make all the changes or, on any error, none. The revision is raised once.

        Raises:
            ConflictError: as ``add`` and ``replace`` do.
            BackendUnavailable: when it can't be written.
        """


@runtime_checkable
class Redigesting(TokenReader, Protocol):
    """A store that can put a fast digest in the place of a slow hash: Jira's tokens can be moved into it.

    The shipped ones can (:mod:`patmiddleware.firstuse`). Neither a record nor what any secret leads to is changed by
    it, so the revision need not be raised.
    """

    def record(self, id: str) -> tuple[Token, Digest] | None:
        """Give the record with this id, with its digest, or None.

        Raises:
            BackendUnavailable: when it can't be said.
        """

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        """Keep a token under the digest of its secret from now on, if it is still kept under ``expected``.

        The store digests, with its newest pepper. Nothing else about the token is touched.

        Raises:
            ConflictError: when it is kept under another digest, is gone, or the secret stands for another token.
            BackendUnavailable: when it can't be written.
        """


@runtime_checkable
class Denying(Protocol):
    """A reader of tokens that others issue, which can refuse one of them before its time."""

    def revoke(self, secret: Secret, *, by: str | None = None, why: str = "") -> Token:
        """Refuse a token from now on, and give it, revoked.

        Raises:
            UnknownTokenError: when it would not get in anyway.
            ConfigurationError: when there is no store to keep that in.
            BackendUnavailable: when it can't be written.
        """


@runtime_checkable
class Events(Protocol):
    """Carries the word that something changed to other processes, faster than they ask by themselves.

    It only shortens the wait: a lost event is made up for by asking for the revision. A store shows it as ``events``.
    """

    def watch(self) -> None:
        """Begin to listen, on a thread of its own, and announce what is heard (:data:`patmiddleware.changes.here`).

        Called when requests come, in each process that serves; called again it does nothing. Never raises or waits.
        """

    def publish(self) -> None:
        """Tell the other processes that a change was made here. Never raises, and waits for a short time only."""

    def close(self) -> None:
        """Stop listening; a later ``watch`` begins again."""


@runtime_checkable
class Checkable(Protocol):
    """A store that can look itself over, beyond reading its records."""

    def check(self) -> None:
        """Look for damage.

        Raises:
            BackendUnavailable: when there is some, or it can't be looked for.
        """


@runtime_checkable
class Directory(Protocol):
    """Knows people: whether they are active, and their groups."""

    def find(self, name: str) -> Owner | None:
        """Look an owner up by name.

        Returns:
            The owner, with ``name`` spelled exactly as asked, or None where there is no such person.

        Raises:
            BackendUnavailable: when it can't be said.
        """


@runtime_checkable
class PasswordDirectory(Directory, Protocol):
    """A directory that can check a password as well."""

    def authenticate(self, name: str, password: str) -> Owner | None:
        """Give the owner if the password is theirs, else None. An empty password is never right.

        Raises:
            BackendUnavailable: when it can't be said.
        """


@runtime_checkable
class AccessPolicy(Protocol):
    """Decides what a grant may do: our own policy, or any object of yours."""

    def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
        """Judge a request. ``grant`` is None where no credential came. Must not do I/O.

        Raises:
            BackendUnavailable: when nothing can be said now: the answer is 503. Anything else that is raised, or given,
                refuses the request.
        """


Headers: TypeAlias = Sequence[tuple[str, str]]
"""Names and values, Latin-1, in the order in which they are sent; a name may come more than once."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request as it goes to the upstream.

    Args:
        method: an upper-case token.
        target: path, with the upstream's context path, and query: percent-encoded, as it stands on the wire.
        headers: all that are sent, but for Host and what frames the body.
        body: in pieces, to be read once; bytes where it can be sent again; None where there is none.
        length: bytes of the body; None where it is not known beforehand, and goes in chunks.
    """

    method: str
    target: str
    headers: Headers
    body: Iterable[bytes] | bytes | None = None
    length: int | None = None


@runtime_checkable
class UpstreamResponse(Protocol):
    """An answer of the upstream. Its body is read once; :meth:`close` is always called, whatever was read."""

    @property
    def status(self) -> int:
        """The status, 200 to 599."""

    @property
    def reason(self) -> str:
        """The words beside the status."""

    @property
    def headers(self) -> Headers:
        """All headers, as they came."""

    def stream(self) -> Iterator[bytes]:
        """Give the body as it comes, in pieces that are not empty; nothing of it is decoded.

        Raises:
            UpstreamError: when it breaks off, or is shorter than was said.
            UpstreamTimeout: when the next piece does not come.
        """

    def close(self) -> None:
        """Let go of the connection: used again only where the whole body was read."""


@runtime_checkable
class Transport(Protocol):
    """The forwarder's way out: to one upstream, over connections that are kept alive."""

    def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send a request, and give the answer once its headers are there. No redirect is followed.

        Raises:
            UpstreamError: when the upstream can't be reached, or breaks off.
            UpstreamTimeout: when it takes too long.
        """


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a request goes upstream.

    Args:
        grant: confirmed.
        credential: what the client itself sent, where it was kept (``keep_credential``).
    """

    grant: Grant
    credential: Secret | None = None


@runtime_checkable
class Strategy(Protocol):
    """A way of being somebody at the upstream.

    One that has ``taken(caller)`` as well hears of each request that the upstream took.
    """

    @property
    def is_callers(self) -> bool:
        """Whether the credential is the client's own, so that it hears a 401 where the upstream refuses it."""

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request with what makes the upstream take it for somebody's. Called last, once for each sending.

        Raises:
            LinkError: when there is nothing to be somebody with, or it is known not to be taken.
            UpstreamError: when the upstream had to be asked and can't be.
        """

    def refused(self, caller: Caller) -> bool:
        """Hear that the upstream did not take what :meth:`sign` gave; say whether signing anew may help.

        Called at most once for each request of a client.
        """


@runtime_checkable
class Vault(Protocol):
    """Keeps each owner's own credential for an upstream, encrypted."""

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        """Give the owner's credential, or None where there is none.

        Raises:
            BackendUnavailable: when it can't be said, or what is kept can't be decrypted.
        """

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        """Keep a credential in the place of the one before.

        Raises:
            BackendUnavailable: when it can't be written.
        """

    def remove(self, owner: str, upstream: str) -> None:
        """Forget the owner's credential; one that is not there is no error."""
