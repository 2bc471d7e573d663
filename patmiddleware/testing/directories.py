"""What every directory promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from patmiddleware.interfaces import Directory
from patmiddleware.model import Owner

from .samples import odd_texts, together


class DirectoryContract:
    """What every ``Directory`` promises. Fill in :meth:`make_directory`.

    Attributes:
        facts: which fields of an owner this directory knows, besides the name.
    """

    facts: Sequence[str] = ("active", "groups", "display_name", "mail")

    def make_directory(self, owners: Sequence[Owner]) -> Directory:
        """Give a directory that knows exactly these owners."""
        raise NotImplementedError("fill in make_directory(self, owners)")

    def test_is_a_directory(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.make_directory([]), Directory)

    def test_finds_each_owner(self) -> None:
        """Every name leads to its own owner, with all that the directory knows."""
        alice = Owner(
            name="alice", groups=frozenset({"Dev-Ops", "caf\u00e9"}), display_name="Al", mail="al@example.org"
        )
        bob = Owner(name="bob", active=False)

        directory = self.make_directory([alice, bob])

        assert self._known(directory.find("alice")) == self._known(alice)
        assert self._known(directory.find("bob")) == self._known(bob)

    def test_unknown_name_is_none(self) -> None:
        """A name that is nobody's gives None."""
        assert self.make_directory([Owner(name="alice")]).find("bob") is None

    def test_empty_directory_knows_nobody(self) -> None:
        """Where there are no owners there is no outage, only None."""
        assert self.make_directory([]).find("alice") is None

    @odd_texts
    def test_odd_names_are_none(self, text: str) -> None:
        """No name is taken for a pattern, a path or a query, nor does any raise."""
        assert self.make_directory([Owner(name="alice")]).find(text) is None

    @pytest.mark.parametrize("name", ["", "alic", "alicee", " alice", "alice ", "alice\0"])
    def test_near_misses_are_none(self, name: str) -> None:
        """A part of a name, a longer name and a blank-padded one are other names."""
        assert self.make_directory([Owner(name="alice")]).find(name) is None

    def test_name_is_spelled_as_asked(self) -> None:
        """A directory that does not care for case gives the name as it was asked for, or None."""
        owner = self.make_directory([Owner(name="alice")]).find("ALICE")

        assert owner is None or owner.name == "ALICE"

    def test_a_name_in_another_form_is_not_respelled(self) -> None:
        """Where letters that look alike are one, the name is still the one that was asked for, or None."""
        owner = self.make_directory([Owner(name="Jos\u00e9")]).find("Jose\u0301")

        assert owner is None or owner.name == "Jose\u0301"

    def test_names_of_every_script_are_found(self) -> None:
        """Letters beyond ASCII, and signs that queries are made of, are only letters."""
        names = ["Jos\u00e9", "\u5f20\u4f1f", "o'brien", "a*b", "a(b)", "svc-ci_1", "x%y"]
        directory = self.make_directory([Owner(name=name) for name in names])

        found = [directory.find(name) for name in names]

        assert [owner and owner.name for owner in found] == names

    def test_threads_may_ask_at_once(self) -> None:
        """Several threads at once each get their own answer."""
        names = ["alice", "bob", "carol", "dave"]
        directory = self.make_directory([Owner(name=name) for name in names])

        def find_mine(number: int) -> bool:
            found = [directory.find(names[number]) for _ in range(25)]
            return all(owner and owner.name == names[number] for owner in found)

        assert all(together(4, find_mine))

    def _known(self, owner: Owner | None) -> Mapping[str, object] | None:
        assert owner is None or isinstance(owner, Owner), f"find() must give an Owner or None, not {owner!r}"
        return None if owner is None else {field: getattr(owner, field) for field in ("name", *self.facts)}
