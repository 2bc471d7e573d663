"""What every vault promises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from threading import Event

import pytest

from patmiddleware.errors import BackendError, BackendUnavailable
from patmiddleware.interfaces import Vault
from patmiddleware.model import UpstreamCredential

from .samples import ODD_TEXTS, causes, odd_texts, together

JIRA, WIKI = "https://jira.example.org", "https://example.org/wiki"
_PEM = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQ".ljust(64, "A") * 40 + "\n-----END PRIVATE KEY-----\n"


def bearer(token: str = "t0k3n") -> UpstreamCredential:  # noqa: S107 - made up
    """Give a credential that is told from others by its token."""
    return UpstreamCredential("bearer", {"token": token})


def basic(password: str = "Tr0ub4dor&3-\u00fc") -> UpstreamCredential:  # noqa: S107 - made up
    """Give a credential of another kind."""
    return UpstreamCredential("basic", {"username": "alice", "password": password})


class VaultContract:
    """What every ``Vault`` promises. Fill in :meth:`make_vault`."""

    def make_vault(self) -> Vault:
        """Give an empty vault."""
        raise NotImplementedError("fill in make_vault(self)")

    def vault_of(self, *owners: str) -> Vault:
        """Give a vault in which each of these owners has a credential for Jira: a bearer token that is their name."""
        vault = self.make_vault()
        for owner in owners:
            vault.put(owner, JIRA, bearer(owner))
        return vault

    def test_is_a_vault(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.make_vault(), Vault)

    # -- getting

    @pytest.mark.parametrize("kept", [bearer(), basic(), UpstreamCredential("oauth1", {})], ids=lambda kept: kept.kind)
    def test_get_gives_what_was_put(self, kept: UpstreamCredential) -> None:
        """The kind and every value come back."""
        vault = self.make_vault()

        vault.put("alice", JIRA, kept)

        assert _facts(vault.get("alice", JIRA)) == (kept.kind, dict(kept.values))

    def test_an_empty_vault_has_none(self) -> None:
        """Where there are no credentials there is no outage, only None."""
        assert self.make_vault().get("alice", JIRA) is None

    @odd_texts
    def test_odd_owners_have_none(self, text: str) -> None:
        """No name is taken for a pattern, a path or a query, nor does any raise."""
        assert self.vault_of("alice").get(text, JIRA) is None

    @odd_texts
    def test_odd_upstreams_have_none(self, text: str) -> None:
        """Nor is an upstream."""
        assert self.vault_of("alice").get("alice", text) is None

    @pytest.mark.parametrize(
        "name", ["", "alic", "alicee", " alice", "alice ", "alice\0", "Alice", "ALICE", "\uff41lice"]
    )
    def test_near_misses_have_none(self, name: str) -> None:
        """Names are compared byte for byte: whoever is called nearly so gets nobody else's credential."""
        assert self.vault_of("alice").get(name, JIRA) is None

    def test_names_that_look_alike_are_two(self) -> None:
        """Case, a blank at the end and another way to write a letter each make another owner."""
        names = ["alice", "Alice", "alice ", "Jos\u00e9", "Jose\u0301", "strasse", "stra\u00dfe"]

        vault = self.vault_of(*names)

        assert [_token(vault.get(name, JIRA)) for name in names] == names

    def test_each_upstream_has_its_own(self) -> None:
        """One owner has a credential for each upstream; they are compared byte for byte, too."""
        upstreams = [JIRA, WIKI, f"{JIRA}/", f"{JIRA}/jira", f"{JIRA}/JIRA", JIRA.replace("https", "http")]
        vault = self.make_vault()

        for upstream in upstreams:
            vault.put("alice", upstream, bearer(upstream))

        assert [_token(vault.get("alice", upstream)) for upstream in upstreams] == upstreams

    def test_owner_and_upstream_are_not_run_together(self) -> None:
        """Two pairs that read alike when they are written behind each other are two."""
        vault = self.make_vault()

        vault.put("a", "b:c", bearer("first"))
        vault.put("a:b", "c", bearer("second"))

        assert [_token(vault.get("a", "b:c")), _token(vault.get("a:b", "c"))] == ["first", "second"]

    # -- putting

    def test_put_takes_the_place_of_the_one_before(self) -> None:
        """Of an earlier credential nothing is left, whatever its kind was."""
        vault = self.make_vault()
        vault.put("alice", JIRA, basic())

        vault.put("alice", JIRA, bearer())

        assert _facts(vault.get("alice", JIRA)) == ("bearer", {"token": "t0k3n"})

    def test_values_are_kept_as_they_are(self) -> None:
        """Blanks, line ends, NULs, every script, nothing, and a whole private key."""
        texts = {name: text for name, text in ODD_TEXTS.items() if name != "surrogate"}
        values = {**texts, "empty": "", "blanks": " x ", "crlf": "a\r\nb", "key": _PEM}
        vault = self.make_vault()

        vault.put("alice", JIRA, UpstreamCredential("oauth1", values))

        assert _facts(vault.get("alice", JIRA)) == ("oauth1", values)

    def test_what_was_put_is_the_vaults_own(self) -> None:
        """Whoever changes what they gave, or what they got, changes nothing in the vault."""
        vault, values, theirs = self.make_vault(), {"token": "t0k3n"}, {"token": "mallory"}
        vault.put("alice", JIRA, UpstreamCredential("bearer", values))

        values |= theirs
        got = vault.get("alice", JIRA)
        if got is not None and isinstance(got.values, dict):
            got.values.update(theirs)

        assert _token(vault.get("alice", JIRA)) == "t0k3n"

    @odd_texts
    def test_an_odd_owner_is_kept_or_refused(self, text: str) -> None:
        """A name that can't be kept is a ``BackendError``; it never becomes another one."""
        vault = self.vault_of("alice")

        try:
            vault.put(text, JIRA, bearer("odd"))
            kept = "odd"
        except BackendError:
            kept = None

        assert [_token(vault.get(text, JIRA)), _token(vault.get("alice", JIRA))] == [kept, "alice"]

    # -- removing

    def test_remove_forgets_one(self) -> None:
        """The owner has none for this upstream any more; every other one stays."""
        vault = self.vault_of("alice", "bob")
        vault.put("alice", WIKI, bearer("wiki"))

        vault.remove("alice", JIRA)

        assert vault.get("alice", JIRA) is None
        assert [_token(vault.get("alice", WIKI)), _token(vault.get("bob", JIRA))] == ["wiki", "bob"]

    @odd_texts
    def test_remove_of_what_is_not_there_is_no_error(self, text: str) -> None:
        """However odd the name is; and nothing else goes."""
        vault = self.vault_of("alice")

        vault.remove(text, JIRA)
        vault.remove("alice", text)

        assert _token(vault.get("alice", JIRA)) == "alice"

    def test_what_was_removed_can_be_put_again(self) -> None:
        """Whoever was disconnected may connect again."""
        vault = self.vault_of("alice")
        vault.remove("alice", JIRA)

        vault.put("alice", JIRA, bearer("again"))

        assert _token(vault.get("alice", JIRA)) == "again"

    # -- secrets, and threads

    def test_no_repr_shows_a_secret(self) -> None:
        """Neither that of the vault nor that of what it gives."""
        vault = self.make_vault()
        vault.put("alice", JIRA, basic())

        assert "Tr0ub4dor" not in f"{vault!r} {vault} {vault.get('alice', JIRA)!r} {vault.get('alice', JIRA)}"

    def test_threads_may_ask_at_once(self) -> None:
        """Several threads at once each get their own answer."""
        names = ["alice", "bob", "carol", "dave"]
        vault = self.vault_of(*names)

        def get_mine(number: int) -> bool:
            return all(_token(vault.get(names[number], JIRA)) == names[number] for _ in range(25))

        assert all(together(4, get_mine))

    def test_threads_may_put_at_once(self) -> None:
        """None of what several threads put is lost."""
        names = [f"owner{number}" for number in range(24)]
        vault = self.make_vault()

        def put_mine(number: int) -> bool:
            for name in names[number::4]:
                vault.put(name, JIRA, bearer(name))
            return True

        together(4, put_mine)

        assert [_token(vault.get(name, JIRA)) for name in names] == names

    def test_two_may_put_for_one_owner_at_once(self) -> None:
        """Neither call fails, and whoever asks meanwhile or later gets one of the two credentials, whole."""
        vault, writing, looked = self.make_vault(), {0, 1}, Event()
        lawful = [(f"kind{number}", {"a": str(number), "b": str(number)}) for number in writing]
        vault.put("alice", JIRA, UpstreamCredential(*lawful[0]))

        def put_or_get(number: int) -> bool:
            if number > 1:
                return _whole(vault, lawful, looked, while_true=writing)
            try:
                for _ in range(10):
                    looked.wait(1)  # so that each credential meets another look
                    looked.clear()
                    vault.put("alice", JIRA, UpstreamCredential(*lawful[number]))
            finally:
                writing.discard(number)
            return True

        assert together(4, put_or_get) == [True] * 4
        assert _facts(vault.get("alice", JIRA)) in lawful


class VaultOutageContract:
    """What every ``Vault`` promises while it can't be asked. Fill in :meth:`make_unreachable`."""

    def make_unreachable(self) -> Vault:
        """Give a vault whose credentials are out of reach."""
        raise NotImplementedError("fill in make_unreachable(self)")

    def test_an_outage_is_not_a_missing_credential(self) -> None:
        """``get`` raises ``BackendUnavailable`` rather than give None."""
        vault = self.make_unreachable()

        with pytest.raises(BackendUnavailable):
            vault.get("alice", JIRA)

    def test_an_outage_keeps_nothing(self) -> None:
        """``put`` raises ``BackendUnavailable``, and says nothing of the credential, nor does a cause."""
        vault = self.make_unreachable()

        with pytest.raises(BackendUnavailable) as caught:
            vault.put("alice", JIRA, basic())

        assert "Tr0ub4dor" not in f"{caught.value} {causes(caught.value)}"

    def test_an_outage_removes_nothing(self) -> None:
        """``remove`` raises ``BackendUnavailable``: whoever is told that it is gone believes it."""
        vault = self.make_unreachable()

        with pytest.raises(BackendUnavailable):
            vault.remove("alice", JIRA)


def _facts(credential: UpstreamCredential | None) -> tuple[str, dict[str, str]] | None:
    assert credential is None or isinstance(credential, UpstreamCredential), f"get() must not give {credential!r}"
    return None if credential is None else (credential.kind, dict(credential.values))


def _whole(
    vault: Vault, lawful: Sequence[tuple[str, dict[str, str]]], looked: Event, *, while_true: Collection[int]
) -> bool:
    """Ask again and again, tell of each look, and say whether all that came was lawful."""
    whole = True
    while while_true:
        whole = _facts(vault.get("alice", JIRA)) in lawful and whole
        looked.set()
    return whole


def _token(credential: UpstreamCredential | None) -> str | None:
    facts = _facts(credential)
    return None if facts is None else facts[1].get("token")
