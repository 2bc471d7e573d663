"""What every token store promises of what it keeps: whole values, under their own ids, and nothing of what is gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from patmiddleware.errors import ConflictError
from patmiddleware.model import EPOCH, Digest, Revocation, Secret, Use

from .races import StoreRaces
from .samples import NOON, ODD_TEXTS, sample_token

_OTHER_IDS = {
    **ODD_TEXTS,
    "empty": "",
    "cut": "t",
    "longer": "t10",
    "other case": "T1",
    "blank before": " t1",
    "blank after": "t1 ",
    "nul after": "t1\0",
    "any ending": "t%",
    "any sign": "_1",
    "full-width": "\uff541",
    "its family": "f1",
    "its parent": "p1",
    "its owner": "alice",
}

ANY_FIELD: Mapping[str, Any] = {
    "owner": "bob",
    "name": "renamed",
    "scopes": frozenset({"read"}),
    "created": NOON + timedelta(microseconds=1),
    "expires": None,
    "networks": (),
    "limits": {},
    "created_by": None,
    "parent": None,
    "family": "f2",
    "replaces": None,
    "revoked": Revocation(NOON),
    "attributes": {},
}
"""A change of each field of a token."""


class StoreKeeping(StoreRaces):
    """What a store promises of what it keeps."""

    # -- whole values

    @pytest.mark.parametrize("other", _OTHER_IDS.values(), ids=_OTHER_IDS)
    def test_no_other_id_leads_to_a_record(self, other: str) -> None:
        """Nothing but the very id gives, replaces, removes or marks a record as used, however much alike it looks."""
        store = self.store_of(sample_token())

        found = store.get(other)
        if other.isprintable():  # a database may say of others that they can't be
            with pytest.raises(ConflictError):
                store.replace(sample_token(other, name="new"), sample_token(other))
            store.record_use({other: Use(NOON)})
            store.remove(other)

        assert (found, list(store.list()), self.find(store, "t1")) == (None, [sample_token()], sample_token())

    def test_near_misses_of_a_foreign_secret_are_none(self) -> None:
        """A secret of another format counts to its last sign, in the form in which it was given."""
        store = self.make_store()
        for number, secret in enumerate(["y" * 4096, "Jos\u00e9 \uff41"]):
            store.add(sample_token(f"t{number}"), secret)

        near = ["y" * 4095, "y" * 4095 + "z", "y" * 4097, "y" * 72, "Jose\u0301 \uff41", "Jos\u00e9 a", "Jos \uff41"]

        assert {text: store.find(Secret(text)) for text in near} == dict.fromkeys(near)

    @pytest.mark.parametrize("text", [text for text in ODD_TEXTS.values() if text.isprintable()] + ["a, B\n c", "READ"])
    def test_texts_are_kept_as_they_are(self, text: str) -> None:
        """No text is trimmed, cut, split, folded or taken for a pattern, in whatever field it stands."""
        text = text[:255]
        token = sample_token(
            name=text,
            scopes={text, "READ", "read"},
            limits={text: {text, "OPS", "ops"}},
            attributes={text: text, "Empty": ""},
            networks=("192.0.2.0/24", "10.0.0.0/8"),
            created_by=text,
            revoked=Revocation(NOON, text, text),
            last_used=Use(NOON, "2001:db8::1", text),
        )

        assert self.store_of(token).get("t1") == token

    def test_nothing_is_not_the_empty_text(self) -> None:
        """Both are kept, and found again, as what they are: nobody is another maker than somebody without a name."""
        silent = sample_token(
            "t2", created_by="", parent="", replaces="", revoked=Revocation(NOON, ""), last_used=Use(NOON, "", "")
        )
        absent = sample_token(
            created_by=None, parent=None, replaces=None, revoked=Revocation(NOON), last_used=Use(NOON)
        )

        store = self.store_of(absent, silent)

        assert [store.get("t1"), store.get("t2")] == [absent, silent]
        assert list(store.list(parent="")) == [silent]

    @pytest.mark.parametrize(
        "moment",
        [
            EPOCH,
            EPOCH - timedelta(days=1, microseconds=1),
            NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
            NOON.astimezone(timezone(-timedelta(hours=12))),
            datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
        ],
        ids=str,
    )
    def test_times_are_kept_to_the_microsecond(self, moment: datetime) -> None:
        """Any aware time is kept as the moment that it is, in whichever zone it is told; the epoch is one, too."""
        token = sample_token(created=moment, expires=moment, revoked=Revocation(moment))
        store = self.store_of(token)

        store.record_use({"t1": Use(moment)})

        used = sample_token(created=moment, expires=moment, revoked=Revocation(moment), last_used=Use(moment))
        assert store.get("t1") == used

    # -- what is there now

    def test_what_was_asked_for_before_does_not_count(self) -> None:
        """A secret that was unknown is found once its token is added, and unknown again once that is removed."""
        store = self.make_store()
        found = [self.find(store, "t1")]

        store.add(sample_token(), self.secret_for(sample_token()))
        found.append(self.find(store, "t1"))
        store.remove("t1")
        found.append(self.find(store, "t1"))

        assert found == [None, sample_token(), None]

    def test_removed_token_is_listed_nowhere(self) -> None:
        """Neither ``list`` nor ``records`` gives it; its children and its family stay."""
        stay = [sample_token("child", parent="t1"), sample_token("kin", family="t1")]
        store = self.store_of(sample_token(), *stay)

        store.remove("t1")

        assert (list(store.list()), [token for token, _ in store.records()]) == (stay, stay)

    def test_lists_follow_a_change(self) -> None:
        """A filter asks for what a record is now, not for what it was when it was added; a list in hand stays."""
        store = self.store_of(sample_token())
        before = store.list()
        changed = sample_token(
            owner="bob", family="f2", parent="p2", revoked=Revocation(NOON), created=NOON - timedelta(1)
        )

        store.replace(changed, sample_token())

        new = [{"owner": "bob"}, {"family": "f2"}, {"parent": "p2"}, {"revoked": True}, {"created_before": NOON}]
        old = [{"owner": "alice"}, {"family": "f1"}, {"parent": "p1"}, {"revoked": False}]
        assert [list(store.list(**filters)) for filters in new] == [[changed]] * len(new)  # type: ignore[arg-type]  # of each
        assert [list(store.list(**filters)) for filters in old] == [[]] * len(old)  # type: ignore[arg-type]  # of each
        assert list(before) == [sample_token()]

    def test_a_digest_of_a_taken_secret_is_a_conflict(self) -> None:
        """However a secret comes, it never stands for two tokens."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.add(sample_token("t2"), Digest("sha256", "", Secret(self.secret_for(sample_token())).digest))

        assert (self.find(store, "t1"), store.get("t2")) == (sample_token(), None)

    def test_many_tokens_are_all_given(self) -> None:
        """Without a limit ``list`` and ``records`` give every token, dead ones too, by id, each time they are asked."""
        tokens = [
            sample_token(f"t{number:03}", revoked=Revocation(NOON) if number % 2 else None, expires=NOON)
            for number in range(260)
        ]
        store = self.make_store()
        revisions = [store.revision()]

        for token in reversed(tokens):
            store.add(token, self.secret_for(token))
            revisions.append(store.revision())

        assert list(store.list()) == tokens
        assert [[token for token, _ in store.records()] for _ in range(2)] == [tokens] * 2
        assert revisions == sorted(set(revisions)), "revision() fell, or stood still, while tokens were added"

    # -- uses

    def test_each_use_is_judged_by_itself(self) -> None:
        """Of several uses each is kept for its own token, revoked or not, whole, whatever becomes of the others."""
        kept = Use(NOON, "192.0.2.1", "curl")
        store = self.store_of(
            sample_token("a", last_used=kept),
            sample_token("b", last_used=kept),
            sample_token("c", revoked=Revocation(NOON)),
        )
        newer, other = Use(NOON + timedelta(2)), Use(NOON + timedelta(1), "2001:db8::1", "Mozilla/5.0 (X11; Linux)")

        store.record_use({"a": newer, "gone": newer, "b": Use(NOON - timedelta(1)), "c": other})
        store.record_use({})

        assert [token.last_used for token in store.list()] == [newer, kept, other]

    # -- revision

    @pytest.mark.parametrize("field", ANY_FIELD)
    def test_a_change_of_any_field_raises_the_revision(self, field: str) -> None:
        """Most of all a revocation: caches keep the old record until the revision rises. It is a whole number."""
        store = self.store_of(sample_token())
        before = store.revision()

        store.replace(sample_token(**{field: ANY_FIELD[field]}), sample_token())

        assert store.revision() > before
        assert type(store.revision()) is int

    def test_looking_does_not_raise_the_revision(self) -> None:
        """Otherwise one look-up would empty the caches of all."""
        store = self.store_of(sample_token())
        before = store.revision()

        self.find(store, "t1")
        self.find(store, "t2")
        store.get("t1")
        store.list()
        list(store.records())

        assert store.revision() == before

    @pytest.mark.parametrize(
        "other", [Revocation(NOON), Revocation(NOON, "eve", "lost"), Revocation(NOON, "bob")], ids=str
    )
    def test_replace_compares_the_whole_revocation(self, other: Revocation) -> None:
        """Revoked by another, or for another reason, is a conflict, and raises no revision."""
        token = sample_token(revoked=Revocation(NOON, "bob", "lost"))
        store = self.store_of(token)
        before = store.revision()

        with pytest.raises(ConflictError):
            store.replace(sample_token(name="new", revoked=other), sample_token(revoked=other))

        assert (store.get("t1"), store.revision()) == (token, before)
