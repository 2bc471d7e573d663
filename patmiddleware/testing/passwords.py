"""What every directory that checks passwords promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from patmiddleware.interfaces import PasswordDirectory
from patmiddleware.model import Owner

from .directories import DirectoryContract
from .samples import odd_texts, together

_WRONG: Mapping[str, Callable[[str], str]] = {
    # RFC 4513, section 5.1.2: a bind with an empty password succeeds, as nobody.
    "empty": lambda right: "",
    "nul": lambda right: "\0",
    "nuls": lambda right: "\0" * 8,
    # Where C has a say, a password ends there.
    "right and nul": lambda right: right + "\0",
    "right, nul and more": lambda right: right + "\0x",
    "cut": lambda right: right[:-1],
    "longer": lambda right: right + "x",
    "padded": lambda right: right + " ",
    "letter beyond ASCII after": lambda right: right + "\u00e9",
    "padded before": lambda right: " " + right,
    "with a line's end": lambda right: right + "\n",
    "other case": lambda right: right.swapcase(),
    "much too long": lambda right: right + "x" * 5000,
    "name": lambda right: "alice",
}


class PasswordDirectoryContract(DirectoryContract):
    """What every ``PasswordDirectory`` promises. Fill in ``make_directory``, with passwords of :meth:`password_for`."""

    def make_directory(self, owners: Sequence[Owner]) -> PasswordDirectory:
        """Give a directory that knows exactly these owners, by the passwords of :meth:`password_for`."""
        raise NotImplementedError("fill in make_directory(self, owners)")

    def password_for(self, name: str) -> str:
        """Give the password of an owner; another one for each.

        Override it where passwords can't be chosen. It must give the same text for the same name.
        """
        return f"{name}: \u00fcber Pass-word"

    def test_is_a_password_directory(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.make_directory([]), PasswordDirectory)

    def test_right_password_gives_the_owner(self) -> None:
        """Each one's own password leads to them, with all that ``find`` knows."""
        directory = self._two()

        found = [directory.authenticate(name, self.password_for(name)) for name in ("alice", "bob")]

        assert found == [directory.find("alice"), directory.find("bob")]
        assert [owner and owner.name for owner in found] == ["alice", "bob"]

    @pytest.mark.parametrize("wrong", _WRONG.values(), ids=_WRONG)
    def test_wrong_password_is_none(self, wrong: Callable[[str], str]) -> None:
        """Whatever is not the very password gives None, an empty one as well, and never raises."""
        assert self._two().authenticate("alice", wrong(self.password_for("alice"))) is None

    def test_password_of_another_is_none(self) -> None:
        """A password is good for its owner only."""
        directory = self._two()

        assert directory.authenticate("alice", self.password_for("bob")) is None
        assert directory.authenticate("bob", self.password_for("alice")) is None

    @odd_texts
    def test_odd_passwords_are_none(self, text: str) -> None:
        """No password is taken for a pattern or a query, nor does any raise."""
        assert self._two().authenticate("alice", text) is None

    @odd_texts
    def test_odd_names_have_no_password(self, text: str) -> None:
        """No name is taken for a pattern or a query, nor does any raise."""
        assert self._two().authenticate(text, self.password_for("alice")) is None

    @pytest.mark.parametrize("name", ["", "carol", "alic", "alicee", " alice", "alice ", "alice\0"])
    def test_unknown_names_have_no_password(self, name: str) -> None:
        """Neither somebody else's password nor an empty one lets a stranger in."""
        directory = self._two()

        assert [directory.authenticate(name, text) for text in (self.password_for("alice"), "")] == [None, None]

    def test_authenticated_name_is_spelled_as_asked(self) -> None:
        """A directory that does not care for case gives the name as it was asked for, or None."""
        owner = self._two().authenticate("ALICE", self.password_for("alice"))

        assert owner is None or owner.name == "ALICE"

    def test_inactive_owner_does_not_become_active(self) -> None:
        """The right password of somebody who is locked out gives None, or an inactive owner."""
        directory = self.make_directory([Owner(name="alice", active=False)])

        owner = directory.authenticate("alice", self.password_for("alice"))

        assert owner is None or owner.active is False

    def test_a_password_is_checked_each_time(self) -> None:
        """A right password before does not help a wrong one."""
        directory, right = self._two(), self.password_for("alice")

        answers = [directory.authenticate("alice", text) for text in (right, "wrong", right, "")]

        assert [owner is not None for owner in answers] == [True, False, True, False]

    def test_threads_may_authenticate_at_once(self) -> None:
        """Several threads at once each get their own answer, right and wrong."""
        directory, names = self._two(), ("alice", "bob", "alice", "carol")
        expected = ("alice", "bob", None, None)
        passwords = (self.password_for("alice"), self.password_for("bob"), "wrong", self.password_for("alice"))

        def authenticate(number: int) -> bool:
            owners = [directory.authenticate(names[number], passwords[number]) for _ in range(5)]
            return all((owner and owner.name) == expected[number] for owner in owners)

        assert all(together(4, authenticate))

    def test_no_password_shows(self) -> None:
        """Neither the directory nor the owner shows a password."""
        directory, password = self._two(), self.password_for("alice")

        shown = f"{directory!r} {directory} {directory.authenticate('alice', password)!r}"

        assert password not in shown

    def _two(self) -> PasswordDirectory:
        return self.make_directory([Owner(name="alice"), Owner(name="bob")])
