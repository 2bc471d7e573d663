"""What every reader of tokens promises, up and down."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest

from patmiddleware.errors import BackendUnavailable
from patmiddleware.interfaces import Revisioned, TokenReader
from patmiddleware.model import Revocation, Secret, Token
from patmiddleware.tokens import mint_secret

from .samples import NOON, ODD_TEXTS, causes, hidden, odd_texts, sample_token, together

_NEAR: Mapping[str, Callable[[str], str]] = {
    "cut": lambda secret: secret[:-1],
    "cut before": lambda secret: secret[1:],
    "longer": lambda secret: secret + "0",
    "longer before": lambda secret: "0" + secret,
    "blank before": lambda secret: " " + secret,
    "blank after": lambda secret: secret + " ",
    "tab before": lambda secret: "\t" + secret,
    "line's end after": lambda secret: secret + "\n",
    "carriage return after": lambda secret: secret + "\r",
    "nul after": lambda secret: secret + "\0",
    "other case": str.swapcase,
    # What an encoding may leave out, or take for a letter that looks like it.
    "letter beyond ASCII after": lambda secret: secret + "\u00e9",
    "nothing that shows after": lambda secret: secret + "\u200b",
    "half a character after": lambda secret: secret + "\udcff",
    "full-width": lambda secret: "".join(chr(ord(sign) + 0xFEE0) for sign in secret),
    "with its scheme": lambda secret: "Bearer " + secret,
    "as a password": lambda secret: "alice:" + secret,
    "without its prefix": lambda secret: secret.partition("_")[2],
    "any ending": lambda secret: secret[:-1] + "%",
    "any sign": lambda secret: secret[:-1] + "_",
}


class TokenReaderContract:
    """What every ``TokenReader`` promises. Fill in :meth:`make_reader`.

    Attributes:
        fields: of a token that this reader knows; all but those that its format has no place for.
        owners: names that an owner may have there; leave out what is refused on purpose.
    """

    fields: Sequence[str] = tuple(field.name for field in dataclasses.fields(Token))
    owners: Sequence[str] = tuple(text[:255] for text in ODD_TEXTS.values() if text.isprintable())

    def make_reader(self, tokens: Mapping[str, Token]) -> TokenReader:
        """Give a reader that knows exactly these tokens.

        Args:
            tokens: secrets to records.
        """
        raise NotImplementedError("fill in make_reader(self, tokens)")

    def change_reader(self, reader: TokenReader, tokens: Mapping[str, Token]) -> None:
        """Let a reader know exactly these tokens from now on. Override it for a reader with a ``revision()``.

        Args:
            reader: as :meth:`make_reader` gave it.
            tokens: secrets to records.
        """
        pytest.skip("fill in change_reader(self, reader, tokens): only so it shows whether revision() rises")

    def secret_for(self, token: Token) -> str:
        """Give the secret that shall stand for a token.

        Override it where secrets can't be chosen, as with JWTs. It must give the same text for the same id.
        """
        return mint_secret(choice=random.Random(token.id).choice)  # noqa: S311 - it must come out the same again

    def bare_token(self) -> Token:
        """Give a token with as little in it as there can be. Override it where more is required, as with JWTs."""
        return Token(id="bare", owner="alice", created=NOON)

    def known(self, token: Token | None) -> object:
        """Give what is compared of a token: the fields that this reader knows. None stays None."""
        if token is None:
            return None
        assert isinstance(token, Token), f"find() must give a Token or None, not {type(token).__name__}"
        return [(name, getattr(token, name)) for name in self.fields]

    def reader_of(self, *tokens: Token) -> TokenReader:
        """Give a reader that knows exactly these tokens, by the secrets of :meth:`secret_for`."""
        return self.make_reader({self.secret_for(token): token for token in tokens})

    def test_is_a_reader(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.reader_of(), TokenReader)

    def test_finds_each_token_by_its_secret(self) -> None:
        """Every secret leads to its own record, whole."""
        tokens = [sample_token(f"t{number}", owner=f"owner{number}") for number in range(20)]

        reader = self.reader_of(*tokens)

        found = [reader.find(Secret(self.secret_for(token))) for token in tokens]
        assert list(map(self.known, found)) == list(map(self.known, tokens))

    def test_unknown_secret_is_none(self) -> None:
        """A secret that stands for no token gives None."""
        reader = self.reader_of(sample_token())

        assert reader.find(Secret(self.secret_for(sample_token("other")))) is None

    def test_empty_reader_finds_nothing(self) -> None:
        """Where there are no tokens there is no outage, only None."""
        assert self.reader_of().find(Secret(self.secret_for(sample_token()))) is None

    def test_near_misses_are_none(self) -> None:
        """A secret that is cut, longer, padded, in another case or in other letters is another secret."""
        secret = self.secret_for(sample_token())

        reader = self.reader_of(sample_token())

        found = {name: reader.find(Secret(near(secret))) for name, near in _NEAR.items()}
        assert found == dict.fromkeys(_NEAR)

    def test_what_is_no_secret_leads_nowhere(self) -> None:
        """What logs and lists show, and what is stored in the secret's place, lets nobody in."""
        token = sample_token()
        digest = Secret(self.secret_for(token)).digest
        public = [
            token.id,
            token.owner,
            token.name,
            token.family,
            digest.hex(),
            digest.hex().upper(),
            digest.decode("latin-1"),
        ]

        reader = self.reader_of(token)

        assert {text: reader.find(Secret(text)) for text in public} == dict.fromkeys(public)

    @odd_texts
    def test_odd_secrets_are_none(self, text: str) -> None:
        """No secret is taken for a pattern, a path or a query, nor does any raise."""
        assert self.reader_of(sample_token()).find(Secret(text)) is None

    def test_empty_secret_is_none(self) -> None:
        """The empty secret is nobody's."""
        assert self.reader_of(sample_token()).find(Secret("")) is None

    def test_expired_token_is_given_as_it_is(self) -> None:
        """The caller judges expiry, not the reader."""
        token = sample_token(expires=NOON + timedelta(seconds=1))

        found = self.reader_of(token).find(Secret(self.secret_for(token)))

        assert self.known(found) == self.known(token)

    def test_revoked_token_is_given_as_it_is(self) -> None:
        """The caller judges a revocation, which comes with its time, its author and its reason.

        A reader that is not told of revocations does not know the token any more.
        """
        token = sample_token(revoked=Revocation(NOON + timedelta(days=1), "bob", "lost \u2014 \u65e7"))

        found = self.reader_of(token).find(Secret(self.secret_for(token)))

        assert self.known(found) == (self.known(token) if "revoked" in self.fields else None)

    def test_bare_token_is_given_as_it_is(self) -> None:
        """What is left out stays left out."""
        token = self.bare_token()

        found = self.reader_of(token).find(Secret(self.secret_for(token)))

        assert self.known(found) == self.known(token)

    def test_owner_names_are_kept_exactly(self) -> None:
        """An owner's name comes back as it was, whatever script or form it is in."""
        tokens = [sample_token(f"t{number}", owner=owner) for number, owner in enumerate(self.owners)]

        reader = self.reader_of(*tokens)

        found = [reader.find(Secret(self.secret_for(token))) for token in tokens]
        assert list(map(self.known, found)) == list(map(self.known, tokens))

    def test_a_change_is_found_and_counted(self) -> None:
        """A reader with a ``revision()`` raises it with every change, and only then: caches ask for nothing else."""
        token = sample_token()
        secret = self.secret_for(token)
        reader = self.make_reader({secret: token})
        if not isinstance(reader, Revisioned):
            return
        revisions, found = [reader.revision()], [reader.find(Secret(secret)) is not None]
        assert revisions == [reader.revision()], "revision() rose though nothing changed"

        for tokens in ({}, {secret: token}, {}):
            self.change_reader(reader, tokens)
            revisions.append(reader.revision())
            found.append(reader.find(Secret(secret)) is not None)

        assert found == [True, False, True, False]
        assert revisions == sorted(set(revisions)), "revision() fell, or stood still, though tokens changed"
        assert [type(revision) for revision in revisions] == [int] * 4

    def test_threads_may_read_at_once(self) -> None:
        """Several threads at once each get their own answer."""
        tokens = [sample_token(f"t{number}") for number in range(4)]
        reader = self.reader_of(*tokens)

        def find_mine(number: int) -> bool:
            secret = Secret(self.secret_for(tokens[number]))
            return all(self.known(reader.find(secret)) == self.known(tokens[number]) for _ in range(25))

        assert all(together(4, find_mine))

    def test_no_secret_shows(self) -> None:
        """Neither the reader nor the record shows a secret or a pepper."""
        token = sample_token()
        secret = self.secret_for(token)
        reader = self.reader_of(token)

        shown = f"{reader!r} {reader} {reader.find(Secret(secret))!r}"

        assert not [text for text in hidden(reader, secret) if text in shown]


class OutageContract:
    """What every ``TokenReader`` promises while it can't be asked. Fill in :meth:`make_unreachable`."""

    def make_unreachable(self) -> TokenReader:
        """Give a reader whose tokens are out of reach."""
        raise NotImplementedError("fill in make_unreachable(self)")

    def test_an_outage_is_not_an_unknown_token(self) -> None:
        """``find`` raises ``BackendUnavailable`` rather than give None."""
        reader = self.make_unreachable()

        with pytest.raises(BackendUnavailable):
            reader.find(Secret(mint_secret()))

    def test_an_outage_stays_one_however_often_it_is_asked(self) -> None:
        """No answer of an outage is kept, and nothing that the first call made is taken for an empty store."""
        reader, secret = self.make_unreachable(), Secret(mint_secret())

        for _ in range(3):
            with pytest.raises(BackendUnavailable):
                reader.find(secret)

    @odd_texts
    def test_nothing_else_is_raised_by_an_odd_secret(self, text: str) -> None:
        """However odd a secret is, the outage is all that is said of it; a secret that can't exist may be None."""
        reader = self.make_unreachable()

        try:
            found = reader.find(Secret(text))
        except BackendUnavailable:
            return

        assert found is None

    def test_an_outage_says_nothing_of_the_secret(self) -> None:
        """Neither the message nor that of a cause, such as the address that was asked, shows it or its digest."""
        secret = mint_secret()
        reader = self.make_unreachable()

        with pytest.raises(BackendUnavailable) as caught:
            reader.find(Secret(secret))

        said = f"{caught.value} {causes(caught.value)}"
        assert not [text for text in hidden(reader, secret) if text in said]

    def test_a_revision_is_not_made_up(self) -> None:
        """``revision`` raises ``BackendUnavailable``."""
        reader = self.make_unreachable()
        if not isinstance(reader, Revisioned):
            return

        with pytest.raises(BackendUnavailable):
            reader.revision()
