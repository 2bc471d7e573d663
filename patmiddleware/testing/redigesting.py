"""What a store promises that tokens of Jira's can be moved into; of any other these tests ask nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from patmiddleware.errors import ConflictError
from patmiddleware.interfaces import Redigesting, TokenStore
from patmiddleware.model import Digest, Revocation, Secret, Token, Use
from patmiddleware.tokens import digest_to_store

from .races import StoreRaces
from .samples import NOON, sample_token, together

JIRA_SECRET = "MTIzNDU2Nzg5MDEyOgABAgMEBQYHCAkKCwwNDg8QERIT"  # noqa: S105 - made up
"""A token as Jira makes them: base64 of its number, a colon and 20 bytes."""
JIRA_DIGEST = Digest(
    "pkcs5s2", "123456789012", b"{PKCS5S2}ZGVmZ2hpamtsbW5vcHFyc4iiO1q0iRETP0LpwmW6qjZ8UsWEM8ez6ZgJpRAUxOXy"
)
"""What Jira keeps of it."""
JIRA_ID = "jira-123456789012"


class StoreFirstUses(StoreRaces):
    """What a store promises that is ``Redigesting``."""

    def test_record_gives_the_digest_too(self) -> None:
        """``record`` gives what ``records`` gives of one id, with its last use; None for an unknown one."""
        store = self._store_with(sample_token())
        if store is None:
            return
        store.record_use({JIRA_ID: Use(NOON)})

        assert _record(store, JIRA_ID) == (sample_token(JIRA_ID, last_used=Use(NOON)), JIRA_DIGEST)
        assert [_record(store, id) for id in ("t1", "123456789012", "jira-123456789012\0")] == [
            next(pair for pair in store.records() if pair[0].id == "t1"),
            None,
            None,
        ]

    def test_after_redigesting_the_secret_leads_to_the_same_record(self) -> None:
        """Only the digest is another: the store's own, of the secret. Last use and all else stay."""
        used = {"last_used": Use(NOON, "192.0.2.1", "curl"), "revoked": Revocation(NOON, "bob", "lost")}
        store = self._store_with(**used)
        if store is None:
            return

        _redigest(store)

        expected = sample_token(JIRA_ID, **used)
        assert [store.get(JIRA_ID), store.find(Secret(JIRA_SECRET)), *store.list()] == [expected] * 3
        assert list(store.records()) == [(expected, digest_to_store(JIRA_SECRET, getattr(store, "peppers", ())))]

    @pytest.mark.parametrize(
        "expected",
        [
            Digest("sha256", JIRA_DIGEST.key_id, JIRA_DIGEST.value),
            Digest("pkcs5s2", "", JIRA_DIGEST.value),
            Digest("pkcs5s2", JIRA_DIGEST.key_id, JIRA_DIGEST.value + b"="),
        ],
        ids=["kind", "key id", "value"],
    )
    def test_redigesting_compares_the_digest(self, expected: Digest) -> None:
        """A token that is kept under another digest than was verified stays so."""
        store = self._store_with()
        if store is None:
            return

        with pytest.raises(ConflictError):
            _redigest(store, expected)

        assert list(store.records()) == [(sample_token(JIRA_ID), JIRA_DIGEST)]

    def test_redigesting_what_is_gone_is_a_conflict(self) -> None:
        """``redigest`` never adds."""
        store = self._store_with()
        if store is None:
            return
        store.remove(JIRA_ID)

        with pytest.raises(ConflictError):
            _redigest(store)

        assert (list(store.records()), store.find(Secret(JIRA_SECRET))) == ([], None)

    def test_redigesting_to_a_taken_secret_is_a_conflict(self) -> None:
        """One secret never comes to stand for two tokens."""
        store = self._store_with()
        if store is None:
            return
        store.add(sample_token("adopted"), JIRA_SECRET)

        with pytest.raises(ConflictError):
            _redigest(store)

        assert store.find(Secret(JIRA_SECRET)) == sample_token("adopted")
        assert _record(store, JIRA_ID) == (sample_token(JIRA_ID), JIRA_DIGEST)

    def test_of_racing_redigests_one_wins(self) -> None:
        """Of several threads that verified one secret, one is told that it wrote, and the others harm nothing."""
        store = self._store_with()
        if store is None:
            return

        won = together(8, lambda _: _is_made(lambda: _redigest(store)))

        assert won.count(True) == 1
        assert store.find(Secret(JIRA_SECRET)) == sample_token(JIRA_ID)

    def test_a_first_use_loses_no_revocation(self) -> None:
        """Whoever read the record before revokes it after, and it is revoked under its new digest."""
        store = self._store_with()
        if store is None:
            return
        revoked = sample_token(JIRA_ID, revoked=Revocation(NOON, "bob", "lost"))

        _redigest(store)
        store.replace(revoked, sample_token(JIRA_ID))

        assert store.find(Secret(JIRA_SECRET)) == revoked

    def test_a_token_of_jira_is_found_by_its_secret(self) -> None:
        """It is verified at its first use, and kept under the fast digest from then on."""
        store = self._store_with(sample_token())
        if store is None:
            return

        assert store.find(Secret(JIRA_SECRET)) == sample_token(JIRA_ID)
        assert _record(store, JIRA_ID) == (
            sample_token(JIRA_ID),
            digest_to_store(JIRA_SECRET, getattr(store, "peppers", ())),
        )
        assert store.find(Secret(JIRA_SECRET)) == sample_token(JIRA_ID)

    def test_another_secret_with_the_number_of_jira_s_token_is_none(self) -> None:
        """The number alone leads nowhere, before the first use and after it."""
        store = self._store_with()
        if store is None:
            return
        wrong = Secret(JIRA_SECRET[:-1] + "U")

        before = store.find(wrong)
        kept = _record(store, JIRA_ID)
        _redigest(store)

        assert (before, kept, store.find(wrong)) == (None, (sample_token(JIRA_ID), JIRA_DIGEST), None)

    def _store_with(self, *others: Token, **changes: object) -> TokenStore | None:
        """Give a store with a token of Jira's and some others; None where Jira's can't be moved into it."""
        store = self.make_store()
        if not isinstance(store, Redigesting):
            return None
        store.add(sample_token(JIRA_ID, **changes), JIRA_DIGEST)
        for token in others:
            store.add(token, self.secret_for(token))
        return store


def _record(store: TokenStore, id: str) -> tuple[Token, Digest] | None:
    assert isinstance(store, Redigesting)
    return store.record(id)


def _redigest(store: TokenStore, expected: Digest = JIRA_DIGEST) -> None:
    assert isinstance(store, Redigesting)
    store.redigest(JIRA_ID, Secret(JIRA_SECRET), expected)


def _is_made(act: Callable[[], None]) -> bool:
    try:
        act()
    except ConflictError:
        return False
    return True
