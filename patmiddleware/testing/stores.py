"""What every token store promises."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from datetime import timedelta, timezone
from typing import Any

import pytest

from patmiddleware.errors import ConflictError
from patmiddleware.interfaces import Add, Change, Remove, Replace, TokenStore, Transactional
from patmiddleware.model import Digest, Revocation, Secret, Token, Use
from patmiddleware.tokens import digest_to_store

from .keeping import ANY_FIELD, StoreKeeping
from .redigesting import StoreFirstUses
from .samples import NOON, causes, hidden, odd_texts, sample_token
from .sharing import StoreSharing

_EAST, _WEST = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))


class TokenStoreContract(StoreFirstUses, StoreKeeping, StoreSharing):
    """What every ``TokenStore`` promises. Fill in :meth:`make_store`."""

    def test_is_a_store(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.make_store(), TokenStore)

    # -- adding and getting

    def test_get_gives_the_record(self) -> None:
        """``get`` gives the whole record by its id."""
        assert self.store_of(sample_token()).get("t1") == sample_token()

    @odd_texts
    def test_get_of_an_unknown_id_is_none(self, text: str) -> None:
        """An id that is not there gives None, however odd it is."""
        assert self.store_of(sample_token()).get(text) is None

    def test_a_secret_may_be_a_text_or_a_secret(self) -> None:
        """``add`` takes both, and both are found."""
        store = self.make_store()

        store.add(sample_token("text"), self.secret_for(sample_token("text")))
        store.add(sample_token("object"), Secret(self.secret_for(sample_token("object"))))

        assert [self.find(store, id) for id in ("text", "object")] == [sample_token("text"), sample_token("object")]

    def test_a_digest_may_stand_for_a_secret(self) -> None:
        """``add`` takes a digest where no secret is in hand, and the secret is found."""
        store = self.make_store()

        store.add(sample_token(), Digest("sha256", "", Secret(self.secret_for(sample_token())).digest))

        assert self.find(store, "t1") == sample_token()

    def test_long_and_foreign_secrets_are_found(self) -> None:
        """A secret of any length and script can be kept."""
        store = self.make_store()
        secrets = ["y" * 4096, "%", "NjQ4_Mzk+/==", "Jos\u00e9\U0001f600"]

        for number, secret in enumerate(secrets):
            store.add(sample_token(f"t{number}"), secret)

        assert [token and token.id for token in map(store.find, map(Secret, secrets))] == ["t0", "t1", "t2", "t3"]

    def test_a_taken_id_is_a_conflict(self) -> None:
        """A second token with the same id is refused, and the first stays."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.add(sample_token(owner="mallory"), self.secret_for(sample_token("other")))

        assert store.get("t1") == sample_token()

    def test_a_taken_secret_is_a_conflict(self) -> None:
        """A second token with the same secret is refused, and the first stays."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.add(sample_token("t2", owner="mallory"), self.secret_for(sample_token()))

        assert (self.find(store, "t1"), store.get("t2")) == (sample_token(), None)

    @pytest.mark.parametrize("id", ["t1", "t2"], ids=["taken id", "taken secret"])
    def test_a_conflict_says_nothing_of_the_secret(self, id: str) -> None:
        """Neither the message nor that of a cause, such as the row that was not written, shows it or its digest."""
        store, secret = self.store_of(sample_token()), self.secret_for(sample_token())
        [(_, kept)] = store.records()

        with pytest.raises(ConflictError) as caught:
            store.add(sample_token(id), secret)

        said = f"{caught.value!r} {caught.value} {causes(caught.value)}"
        assert not [text for text in (*hidden(store, secret), kept.value.hex(), repr(kept.value)) if text in said]

    # -- replacing and removing

    def test_replace_writes_the_whole_record(self) -> None:
        """Every field is written, and the secret still leads to the record."""
        store = self.store_of(sample_token())
        changed = Token(id="t1", owner="bob", created=NOON, revoked=Revocation(NOON, None, ""))

        store.replace(changed, sample_token())

        assert (store.get("t1"), self.find(store, "t1")) == (changed, changed)

    def test_replace_of_a_changed_record_is_a_conflict(self) -> None:
        """Whoever read an old record overwrites nothing, so that no revocation is lost."""
        store = self.store_of(sample_token())
        revoked = sample_token(revoked=Revocation(NOON, "bob", "lost"))
        store.replace(revoked, sample_token())

        with pytest.raises(ConflictError):
            store.replace(sample_token(name="renamed"), sample_token())

        assert store.get("t1") == revoked

    def test_replace_of_a_missing_record_is_a_conflict(self) -> None:
        """``replace`` never adds."""
        store = self.make_store()

        with pytest.raises(ConflictError):
            store.replace(sample_token(), sample_token())

        assert store.get("t1") is None

    def test_replace_by_another_id_is_a_conflict(self) -> None:
        """A record is replaced under its own id only."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.replace(sample_token("t2"), sample_token())

        assert (store.get("t1"), store.get("t2")) == (sample_token(), None)

    @pytest.mark.parametrize("field", [{name: value} for name, value in ANY_FIELD.items()], ids=ANY_FIELD)
    def test_replace_compares_every_field(self, field: dict[str, Any]) -> None:
        """A difference in any one field is a conflict."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.replace(sample_token(name="new"), sample_token(**field))

        assert store.get("t1") == sample_token()

    def test_replace_neither_compares_nor_writes_last_use(self) -> None:
        """A use meanwhile is no conflict, and is kept."""
        store = self.store_of(sample_token())
        store.record_use({"t1": Use(NOON)})

        store.replace(sample_token(name="new", last_used=Use(NOON + timedelta(1))), sample_token())

        assert store.get("t1") == sample_token(name="new", last_used=Use(NOON))

    def test_removed_token_is_gone(self) -> None:
        """Neither its id nor its secret leads to it any more."""
        store = self.store_of(sample_token())

        store.remove("t1")

        assert (store.get("t1"), self.find(store, "t1")) == (None, None)

    def test_removing_what_is_not_there_is_no_error(self) -> None:
        """``remove`` may be called twice."""
        store = self.store_of(sample_token())

        store.remove("t2")

        assert store.get("t1") == sample_token()

    def test_removed_token_leaves_nothing_behind(self) -> None:
        """Its id and its secret may be used again, and the new token was never used."""
        store = self.store_of(sample_token())
        store.record_use({"t1": Use(NOON)})
        store.remove("t1")

        store.add(sample_token(), self.secret_for(sample_token()))

        assert self.find(store, "t1") == sample_token()

    # -- last use

    def test_last_use_shows_everywhere(self) -> None:
        """``get``, ``list``, ``find`` and ``records`` give the record with its last use."""
        store = self.store_of(sample_token())
        used = sample_token(last_used=Use(NOON, "192.0.2.1", "curl/8 \u2603"))

        store.record_use({"t1": Use(NOON, "192.0.2.1", "curl/8 \u2603")})

        assert [store.get("t1"), *store.list(), self.find(store, "t1")] == [used] * 3
        assert [token for token, _ in store.records()] == [used]

    def test_newest_use_wins(self) -> None:
        """An older use that arrives late is passed over."""
        store = self.store_of(sample_token())

        for seconds in (0, 60, 30):
            store.record_use({"t1": Use(NOON + timedelta(seconds=seconds))})

        assert store.get("t1") == sample_token(last_used=Use(NOON + timedelta(seconds=60)))

    def test_use_of_an_unknown_id_is_passed_over(self) -> None:
        """A token that was removed meanwhile does not come back, and the others are kept."""
        store = self.store_of(sample_token())

        store.record_use({"gone": Use(NOON), "t1": Use(NOON)})

        assert list(store.list()) == [sample_token(last_used=Use(NOON))]

    def test_a_token_brings_its_last_use_along(self) -> None:
        """A token that comes from another store keeps its last use."""
        used = sample_token(last_used=Use(NOON, "192.0.2.1", None))

        assert self.store_of(used).get("t1") == used

    # -- revision

    def test_every_change_raises_the_revision(self) -> None:
        """Adding, replacing and removing each raise it."""
        store = self.make_store()
        revisions = [store.revision()]

        store.add(sample_token(), self.secret_for(sample_token()))
        revisions.append(store.revision())
        store.replace(sample_token(name="new"), sample_token())
        revisions.append(store.revision())
        store.remove("t1")
        revisions.append(store.revision())

        assert revisions == sorted(set(revisions))

    def test_a_use_does_not_raise_the_revision(self) -> None:
        """Otherwise every cache would be emptied all the time."""
        store = self.store_of(sample_token())
        before = store.revision()

        store.record_use({"t1": Use(NOON)})

        assert store.revision() == before

    def test_what_was_refused_does_not_raise_the_revision(self) -> None:
        """A conflict changes nothing."""
        store = self.store_of(sample_token())
        before = store.revision()

        with pytest.raises(ConflictError):
            store.add(sample_token(), self.secret_for(sample_token("other")))

        assert store.revision() == before

    # -- lists and records

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, ["t0", "t1", "t2", "t3", "t4"]),
            ({"owner": "alice"}, ["t0", "t2", "t4"]),
            ({"owner": "ALICE"}, []),
            ({"owner": "%"}, []),
            ({"owner": ""}, []),
            ({"family": "f1"}, ["t0", "t1", "t2"]),
            ({"family": "F1"}, []),
            ({"family": "f%"}, []),
            ({"family": ""}, []),
            ({"parent": "t0"}, ["t1"]),
            ({"parent": "T0"}, []),
            ({"parent": "%"}, []),
            ({"parent": ""}, []),
            ({"revoked": True}, ["t2", "t3"]),
            ({"revoked": False}, ["t0", "t1", "t4"]),
            ({"created_before": NOON + timedelta(days=2)}, ["t0", "t1"]),
            ({"created_before": NOON + timedelta(days=2, microseconds=1)}, ["t0", "t1", "t2"]),
            ({"created_before": (NOON + timedelta(days=2)).astimezone(_EAST)}, ["t0", "t1"]),
            ({"created_before": (NOON + timedelta(days=2)).astimezone(_WEST)}, ["t0", "t1"]),
            ({"owner": "alice", "revoked": False}, ["t0", "t4"]),
            ({"owner": "alice", "family": "f2", "revoked": False}, ["t4"]),
            ({"after": "t1"}, ["t2", "t3", "t4"]),
            ({"after": "t10"}, ["t2", "t3", "t4"]),
            ({"limit": 2}, ["t0", "t1"]),
            ({"limit": 0}, []),
            ({"owner": "alice", "after": "t0", "limit": 1}, ["t2"]),
        ],
        ids=str,
    )
    def test_list_gives_what_matches_every_filter(self, filters: dict[str, Any], expected: Sequence[str]) -> None:
        """Filters are exact and joined by and; the answer is ordered by id."""
        store = self.store_of(
            *(
                sample_token(
                    f"t{number}",
                    owner=("alice", "bob")[number % 2],
                    family="f1" if number < 3 else "f2",
                    parent="t0" if number == 1 else None,
                    revoked=Revocation(NOON) if number in (2, 3) else None,
                    created=NOON + timedelta(days=number),
                )
                for number in (3, 0, 4, 1, 2)
            )
        )

        assert [token.id for token in store.list(**filters)] == expected

    def test_a_page_in_hand_stays(self) -> None:
        """A page is a sequence of its own: no later one, no change and nobody who has another can empty or fill it."""
        store = self.store_of(*(sample_token(f"t{number}") for number in range(4)))
        wanted = [sample_token(f"t{number}") for number in range(4)]

        pages = [store.list(after=after, limit=2) for after in (None, "t1", "t3")]
        again = store.list(after=None, limit=2)
        if isinstance(again, MutableSequence):
            again.clear()
        store.remove("t0")

        assert all(isinstance(page, Sequence) for page in pages), "list() must give a sequence: its length counts"
        assert [list(page) for page in pages] == [wanted[:2], wanted[2:], []]

    def test_ids_are_ordered_by_code_point(self) -> None:
        """No locale has a say, so that pages fit together everywhere."""
        ids = ["-", "10", "9", "A", "B", "Z", "_", "a", "b", "\u00e4", "\uff5e", "\U0001f600"]

        store = self.store_of(*map(sample_token, reversed(ids)))

        assert [token.id for token in store.list()] == ids

    def test_pages_give_every_token_once(self) -> None:
        """Going on after the last id of a page leaves nothing out, even when tokens go meanwhile."""
        store = self.store_of(*(sample_token(f"t{number:02}") for number in range(25)))
        seen: list[str] = []

        while page := list(store.list(after=seen[-1] if seen else None, limit=10)):
            seen += [token.id for token in page]
            assert len(seen) <= 25, "going on after an id gave a token again"
            store.remove(seen[-1])

        assert seen == [f"t{number:02}" for number in range(25)]

    def test_pages_of_odd_ids_fit_together(self) -> None:
        """Nothing in an id is taken for a pattern or the end of a text, and no page begins too early or too late."""
        ids = sorted(
            ["%", "_", "a%", "a'b", 'a"b', "a\\", "A", "a", "e\u0301", "\u00e9", "\uff41", "\U0001f600", "a:1"]
        )
        store = self.store_of(*map(sample_token, ids))
        seen: list[str] = []

        while page := list(store.list(after=seen[-1] if seen else None, limit=1)):
            seen += [token.id for token in page]
            assert len(seen) <= len(ids), "going on after an id gave a token again"

        assert seen == ids

    def test_after_and_the_filters_go_together(self) -> None:
        """A page of a filtered list goes on where the last one ended, whatever stands between."""
        store = self.store_of(*(sample_token(f"t{number}", owner=("alice", "bob")[number % 2]) for number in range(8)))

        pages = [store.list(owner="bob", after=after, limit=2) for after in (None, "t3", "t4", "t7")]

        assert [[token.id for token in page] for page in pages] == [["t1", "t3"], ["t5", "t7"], ["t5", "t7"], []]

    def test_records_can_be_moved_to_another_store(self) -> None:
        """Tokens, digests of every kind and secrets survive the move."""
        source, target = self.make_store(), self.make_store()
        source.add(sample_token("a"), self.secret_for(sample_token("a")))
        keyed = Digest("blake2b", "0badcafe", bytes(range(32)))
        slow = Digest("pkcs5s2", "", b"{PKCS5S2}" + b"x" * 64)
        source.add(sample_token("b"), keyed)
        source.add(sample_token("c"), slow)

        for token, digest in source.records():
            target.add(token, digest)

        assert list(target.records())[1:] == [(sample_token("b"), keyed), (sample_token("c"), slow)]
        assert self.find(target, "a") == sample_token("a")

    def test_records_hold_no_secret(self) -> None:
        """What is given out is a digest."""
        store, secret = self.store_of(sample_token()), self.secret_for(sample_token())

        [(_, digest)] = store.records()

        assert secret.encode() not in digest.value
        assert digest == digest_to_store(secret, getattr(store, "peppers", ()))

    # -- several changes as one

    def test_changes_are_made_together(self) -> None:
        """A rotation is one transaction, and may use an id that it frees."""
        store = self.store_of(sample_token("old"), sample_token("gone"))
        if not isinstance(store, Transactional):
            return
        before = store.revision()

        store.commit(
            [
                Replace(sample_token("old", name="was replaced"), sample_token("old")),
                Add(sample_token("new"), self.secret_for(sample_token("new"))),
                Remove("gone"),
                Add(sample_token("gone", name="again"), self.secret_for(sample_token("gone"))),
            ]
        )

        assert [token.name for token in store.list()] == ["again", "ci", "was replaced"]
        assert store.revision() > before

    @pytest.mark.parametrize("last", ["taken id", "taken secret", "changed record"])
    def test_a_conflict_undoes_the_changes_before_it(self, last: str) -> None:
        """All or none, whichever change is refused; the revision stays."""
        tokens = [sample_token("a"), sample_token("b")]
        store = self.store_of(*tokens)
        if not isinstance(store, Transactional):
            return
        refused: dict[str, Change] = {
            "taken id": Add(sample_token("b"), self.secret_for(sample_token("d"))),
            "taken secret": Add(sample_token("d"), self.secret_for(sample_token("b"))),
            "changed record": Replace(sample_token("b"), sample_token("b", name="seen before")),
        }
        before = store.revision()

        with pytest.raises(ConflictError):
            store.commit(
                [
                    Replace(sample_token("b", name="new"), sample_token("b")),
                    Remove("a"),
                    Add(sample_token("c"), self.secret_for(sample_token("c"))),
                    Replace(sample_token("b"), sample_token("b", name="new")),
                    refused[last],
                ]
            )

        assert (list(store.list()), store.revision()) == (tokens, before)
        assert [self.find(store, id) for id in ("a", "b", "c")] == [*tokens, None]

    def test_changes_of_one_record_follow_each_other(self) -> None:
        """Each change of a commit sees those before it."""
        store = self.store_of(sample_token())
        if not isinstance(store, Transactional):
            return

        store.commit(
            [
                Replace(sample_token(name="first"), sample_token()),
                Replace(sample_token(name="second"), sample_token(name="first")),
            ]
        )

        assert store.get("t1") == sample_token(name="second")
