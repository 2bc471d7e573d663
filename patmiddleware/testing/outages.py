"""What stores and directories promise while they can't be asked: each call says so, and none says "unknown"."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

import pytest

from patmiddleware.errors import BackendUnavailable
from patmiddleware.interfaces import Add, Directory, PasswordDirectory, Remove, Replace, TokenStore, Transactional
from patmiddleware.model import Use
from patmiddleware.tokens import mint_secret

from .readers import OutageContract
from .samples import NOON, ODD_TEXTS, causes, hidden, sample_token

_CALLS: Mapping[str, Callable[[TokenStore], object]] = {
    "add": lambda store: store.add(sample_token("new"), mint_secret()),
    "get": lambda store: store.get("t1"),
    "list": lambda store: list(store.list()),
    "replace": lambda store: store.replace(sample_token(name="new"), sample_token()),
    "remove": lambda store: store.remove("t1"),
    "record_use": lambda store: store.record_use({"t1": Use(NOON)}),
    "records": lambda store: list(store.records()),
}


class StoreOutageContract(OutageContract):
    """What every ``TokenStore`` promises while it can't be asked. Fill in :meth:`make_unreachable`."""

    def make_unreachable(self) -> TokenStore:
        """Give a store whose tokens are out of reach."""
        raise NotImplementedError("fill in make_unreachable(self)")

    @pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
    def test_no_call_passes_over_an_outage(self, call: Callable[[TokenStore], object]) -> None:
        """Every method raises ``BackendUnavailable``: nothing is kept, listed or removed in appearance only."""
        store = self.make_unreachable()

        with pytest.raises(BackendUnavailable):
            call(store)

    def test_no_commit_passes_over_an_outage(self) -> None:
        """Several changes as one fail as one."""
        store = self.make_unreachable()
        if not isinstance(store, Transactional):
            return

        with pytest.raises(BackendUnavailable):
            store.commit([Replace(sample_token(name="new"), sample_token()), Remove("t2"), Add(sample_token("n"), "x")])

    def test_a_failed_add_says_nothing_of_the_secret(self) -> None:
        """Neither the message nor that of a cause shows the secret or its digest: both are logged."""
        store, secret = self.make_unreachable(), mint_secret()

        with pytest.raises(BackendUnavailable) as caught:
            store.add(sample_token("new"), secret)

        said = f"{caught.value} {causes(caught.value)}"
        assert not [text for text in hidden(store, secret) if text in said]


class DirectoryOutageContract:
    """What every ``Directory`` promises while it can't be asked. Fill in :meth:`make_unreachable`."""

    def make_unreachable(self) -> Directory:
        """Give a directory whose owners are out of reach."""
        raise NotImplementedError("fill in make_unreachable(self)")

    def test_an_outage_is_not_an_unknown_owner(self) -> None:
        """``find`` raises ``BackendUnavailable`` rather than give None."""
        directory = self.make_unreachable()

        with pytest.raises(BackendUnavailable):
            directory.find("alice")

    def test_an_outage_is_not_a_wrong_password(self) -> None:
        """``authenticate`` raises ``BackendUnavailable`` rather than give None."""
        directory = self.make_unreachable()
        if not isinstance(directory, PasswordDirectory):
            return

        with pytest.raises(BackendUnavailable):
            directory.authenticate("alice", "a password")

    def test_an_outage_lets_no_empty_password_in(self) -> None:
        """An empty password is refused without asking, or can't be judged; it is never right."""
        directory = self.make_unreachable()
        if not isinstance(directory, PasswordDirectory):
            return

        try:
            owner = directory.authenticate("alice", "")
        except BackendUnavailable:
            return

        assert owner is None

    def test_nothing_else_is_raised_by_an_odd_name(self) -> None:
        """However odd a name is, the outage is all that is said of it; a name that can't exist may be None."""
        directory = self.make_unreachable()

        for name in ODD_TEXTS.values():
            try:
                owner = directory.find(name)
            except BackendUnavailable:
                continue
            assert owner is None

    def test_an_outage_says_nothing_of_the_password(self) -> None:
        """Neither the message nor that of a cause shows it: both are logged."""
        directory, password = self.make_unreachable(), "Tr0ub4dor&3-\u00fc"
        if not isinstance(directory, PasswordDirectory):
            return

        with pytest.raises(BackendUnavailable) as caught:
            directory.authenticate("alice", password)

        assert password not in "".join(traceback.format_exception_only(caught.value))
        assert password not in causes(caught.value)
