"""Owners in a file of htpasswd: what its lines say, and whose password is right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import passlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.backends.htpasswd import HtpasswdDirectory
from patmiddleware.backends.htpasswd.hashes import HashError, read_hash
from patmiddleware.backends.htpasswd.lines import LineError, read_groups, read_passwords
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.model import Owner
from patmiddleware.testing import DirectoryOutageContract, PasswordDirectoryContract

PASSWORD = "Gr\u00fc\u00dfe: 1"
SHA = "{SHA}dL6snJoxqLg05oqkH94wx4FRsgo="
# Made by openssl, libxcrypt and Python's hashlib, not by what is tested.
HASHES = {
    "bcrypt": "$2y$04$......................0b9G4KQoCwfi2RcX2An6Gb9Knahmh4G",
    "apr1": "$apr1$saltsalt$EMrlqXUsm.j0PjutaNk2I0",
    "SHA": SHA,
    "SSHA": "{SSHA}mLXznRbRGn//snjgD9aN/HMQertzYWx0",
    "SSHA, long salt": "{SSHA}h2X6WRWfihdEOoZYlCqRjZg//Z0wMTIzNDU2Nzg5YWJjZGVm",
    "DES": "abkd9RYIBqTw.",
    "MD5": "$1$saltsalt$ObGouiaa./a25fqHvSHXt0",
    "SHA-256": "$5$saltsalt$6Tc6ixDHVV7yvAbJgxW6V7Dt4ChHCW8QkGH1d4b5o7/",
    "SHA-512": "$6$saltsalt$l8BST6cqS98FmYVu6dA6ym5wPMmU6uwVjjokfwykKkw8b7/JBdyyOe/TQmgat/eiGCsGKJoVqJZK9Tp7wVrnk.",
    "SHA-512, rounds": "$6$rounds=1000$ab$pn/ufdncpfmSmMmUbveOqPydS2gy6TqY5wLLjxLGXU1lr/"
    "2XNRTKAYE4wFJfxS9AMlc48UnUCBYqBMjGvUUQh/",
}
BCRYPT = HASHES["bcrypt"]


@pytest.fixture(autouse=True)
def _bcrypt() -> None:
    pytest.importorskip("bcrypt", reason="needs the extra htpasswd")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    path.chmod(0o640)
    return path


@contextmanager
def waiting(directory: HtpasswdDirectory) -> Iterator[None]:
    """Take every turn at checking, as so many slow checks would."""
    turns = directory._turns
    while turns.acquire(blocking=False):
        pass
    try:
        yield
    finally:
        turns.release()


def entry(hash: str, owner: Owner) -> str:
    return f"{owner.name}:{'' if owner.active else '!'}{hash}"


class TestHtpasswd(PasswordDirectoryContract):
    """The contract, with bcrypt at its lowest cost."""

    facts = ("active", "groups")

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder, self.made = tmp_path, 0

    def hash(self, password: str) -> str:
        import bcrypt

        return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")

    def make_directory(self, owners: Sequence[Owner]) -> HtpasswdDirectory:
        self.made += 1
        lines = [entry(self.hash(self.password_for(owner.name)), owner) for owner in owners]
        members = [f'{group}: "{owner.name}"' for owner in owners for group in owner.groups]
        return HtpasswdDirectory(
            write(self.folder / f"{self.made}", *lines), group_file=write(self.folder / f"{self.made}.groups", *members)
        )


class TestHtpasswdWithMD5(TestHtpasswd):
    """The contract, with what htpasswd makes unless told otherwise."""

    def hash(self, password: str) -> str:
        from passlib.hash import apr_md5_crypt

        return str(apr_md5_crypt.hash(password))


class TestMissingFile(DirectoryOutageContract):
    """The contract of outages, after the file was removed."""

    @pytest.fixture(autouse=True)
    def _path(self, path: Path) -> None:
        self.path = path

    def make_unreachable(self) -> HtpasswdDirectory:
        directory = HtpasswdDirectory(write(self.path, f"alice:{BCRYPT}"), reload=0)
        self.path.unlink()
        return directory


class TestBadFile(TestMissingFile):
    """The contract of outages, after the file went bad."""

    def make_unreachable(self) -> HtpasswdDirectory:
        directory = HtpasswdDirectory(write(self.path, f"alice:{BCRYPT}"), reload=0)
        write(self.path, f"alice:{BCRYPT[:-1]}")
        return directory


# -- kinds of hashes


@pytest.mark.parametrize("hash", HASHES.values(), ids=HASHES)
def test_every_kind_of_hash_is_checked(hash: str, path: Path) -> None:
    """The right password gives the owner, one that differs in its first letters does not."""
    directory = HtpasswdDirectory(write(path, f"alice:{hash}"))

    assert directory.authenticate("alice", PASSWORD) == Owner(name="alice")
    assert directory.authenticate("alice", PASSWORD.lower()) is None


@pytest.mark.parametrize("options", [["-B", "-C", "4"], ["-m"], ["-2"], ["-5"], ["-5", "-r", "1000"], ["-d"], ["-s"]])
def test_what_htpasswd_writes_is_read(options: list[str], path: Path) -> None:
    """The program of Apache writes the file, as an administrator calls it."""
    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("platform: htpasswd of apache2-utils is not here")
    for name, password, create in [("alice", "caf\u00e9 1", ["-c"]), ("o'brien", "other", [])]:
        command = [program, *create, "-i", *options, str(path), name]
        done = subprocess.run(command, input=password.encode(), capture_output=True, timeout=20, check=False)
        if done.returncode == 2 and b"sage:" in done.stderr:
            pytest.skip(f"platform: this htpasswd does not know {options[0]}")
        assert done.returncode == 0, done.stderr
    path.chmod(0o640)

    directory = HtpasswdDirectory(path)

    assert directory.authenticate("alice", "caf\u00e9 1") == Owner(name="alice")
    assert directory.authenticate("o'brien", "other") == Owner(name="o'brien")
    assert directory.authenticate("alice", "other") is None


REFUSED = {
    "empty": "",
    "in clear": "hunter2",
    "cut": BCRYPT[:-1],
    "longer": BCRYPT + "x",
    "old bcrypt": BCRYPT.replace("2y", "2x"),
    "bits in bcrypt's salt": BCRYPT[:28] + "/" + BCRYPT[29:],
    "bits in bcrypt's digest": BCRYPT[:-1] + "H",
    "bcrypt, cost 18": BCRYPT.replace("$04$", "$18$"),
    "bcrypt, cost 3": BCRYPT.replace("$04$", "$03$"),
    "too many rounds": HASHES["SHA-512, rounds"].replace("1000", "999999999"),
    "no number": HASHES["SHA-512, rounds"].replace("1000", "1" * 5000),
    "too few rounds": HASHES["SHA-512, rounds"].replace("1000", "999"),
    "other digits": HASHES["SHA-512, rounds"].replace("1000", "\u0661\u0660\u0660\u0660"),
    "unknown kind": "$y$j9T$abc$def",
    "argon2": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
    "ssha without a salt": "{SSHA}dL6snJoxqLg05oqkH94wx4FRsgo=",
    "digest file": "realm:0123456789abcdef0123456789abcdef",
    "spaces within": "abkd9RY IBqTw.",
}


@pytest.mark.parametrize("hash", REFUSED.values(), ids=REFUSED)
def test_no_other_hash_is_taken(hash: str, path: Path) -> None:
    """What can't be checked, or takes too long, is refused with its line; the message does not show it."""
    write(path, "# people", f"bob:{SHA}", f"alice:{hash}")

    with pytest.raises(ConfigurationError, match=r"htpasswd, line 3: its ") as caught:
        HtpasswdDirectory(path)

    assert not hash or hash not in str(caught.value)


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=80) | st.from_regex(r"\$?[256{]?[yS]?.*", fullmatch=True)
)
def test_no_text_for_a_hash_raises_anything_else(text: str) -> None:
    """A text is a hash, or it is not."""
    try:
        hash = read_hash(text)
    except HashError:
        return

    assert hash.text == text
    assert isinstance(hash.verify(b"x"), bool)


def test_a_password_that_bcrypt_would_cut_is_refused(path: Path) -> None:
    """Its 72 bytes are right, the rest is not looked at: so it is no right password."""
    import bcrypt

    hash = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    directory = HtpasswdDirectory(write(path, f"alice:{hash}"))

    assert directory.authenticate("alice", "x" * 72) == Owner(name="alice")
    assert directory.authenticate("alice", "x" * 73) is None


def test_the_log_names_weak_kinds_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An administrator hears of them, but not at each reload."""
    directory = HtpasswdDirectory(write(path, f"alice:{SHA}", f"bob:{HASHES['DES']}", f"carol:{BCRYPT}"), reload=0)

    directory.find("alice")

    ours = [record.message for record in caplog.records if record.name == "patmiddleware"]  # passlib has words, too
    assert sorted(message.removeprefix(f"{path}: ") for message in ours) == [
        "DES crypt looks at eight letters only; better: htpasswd -B",
        "{SHA} has no salt; better: htpasswd -B",
    ]


# -- lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"# alice:x\n \t# bob:x\n", []),
        (b"alice:%s", ["alice"]),
        (b"alice:%s\r\nbob:%s\r\n", ["alice", "bob"]),
        (b"\xef\xbb\xbfalice:%s\n", ["alice"]),
        (b"  alice:%s \t\n", ["alice"]),
        (b"alice:%s:a comment\n", ["alice"]),
        (b"\n#\nalice:%s\n\nbob:%s", ["alice", "bob"]),
        ("Jos\u00e9:%s\n\u5f20\u4f1f:%s\n".encode(), ["Jos\u00e9", "\u5f20\u4f1f"]),
        (b"Alice:%s\nalice:%s\n", ["Alice", "alice"]),
        (b"a b:%s\no'brien:%s\n%%x:%s\n", ["a b", "o'brien", "%x"]),
        ("a\u2028b:%s\n".encode(), ["a\u2028b"]),
    ],
)
def test_lines_are_read_as_apache_reads_them(data: bytes, expected: list[str]) -> None:
    """Comments, blank lines, Windows' line ends, any script, and what stands behind a second colon."""
    entries = read_passwords(data.replace(b"%s", SHA.encode()).replace(b"%%", b"%"))

    assert [entry.name for entry in entries] == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\nalice\n", "line 2: it is not of the form NAME:HASH"),
        (b":%s\n", "line 1: it is not of the form NAME:HASH"),
        (b"alice:%s\nbob:%s\nalice:%s\n", "line 3: this name stands in line 1 as well"),
        (b"alice:%s\n# alice\nalice:!\n", "line 3: this name stands in line 1 as well"),
        (b"alice:%s\n\xff:%s\n", "line 2: it is not UTF-8"),
        (b"alice\0:%s\n", "line 1: a control character stands in it"),
        (b"alice:%s\rbob:%s\n", "line 1: a control character stands in it"),
        ("al\x85ice:%s\n".encode(), "line 1: a control character stands in it"),
        (b"alice:%s\nbob:{SH\n", "line 2: its password is in clear, or its hash is damaged"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(data: bytes, reason: str) -> None:
    """Nothing is passed over in silence."""
    with pytest.raises(LineError) as caught:
        list(read_passwords(data.replace(b"%s", SHA.encode())))

    assert str(caught.value).startswith(reason)


@given(st.binary(max_size=200))
def test_no_file_raises_anything_else(data: bytes) -> None:
    """Whatever stands in a file, it is read or refused."""
    for read in (lambda data: list(read_passwords(data)), read_groups):
        with suppress(LineError):
            read(data)


@pytest.mark.parametrize("locked", ["!", "*", "!!", "!*", f"!{BCRYPT}", f"*{BCRYPT}", f"!!{SHA}"])
def test_a_locked_owner_is_known_but_not_active(locked: str, path: Path) -> None:
    """As usermod does it; their password lets nobody in, with or without the mark."""
    directory = HtpasswdDirectory(write(path, f"alice:{locked}", f"bob:{BCRYPT}"))

    assert directory.find("alice") == Owner(name="alice", active=False)
    assert [directory.authenticate("alice", text) for text in (PASSWORD, locked, "!", "*")] == [None] * 4
    assert directory.authenticate("bob", PASSWORD) == Owner(name="bob")


# -- groups and scopes


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", {}),
        (b"dev: alice bob\n# ops: x\n\nops:\tbob\r\n", {"alice": {"dev"}, "bob": {"dev", "ops"}}),
        (b"dev: alice\ndev: bob\n", {"alice": {"dev"}, "bob": {"dev"}}),
        (b"dev:\nops : alice alice\n", {"alice": {"ops"}}),
        (
            b'dev: "John Doe" \'a b\' o\'brien "x\\"y"\n',
            {"John Doe": {"dev"}, "a b": {"dev"}, "o'brien": {"dev"}, 'x"y': {"dev"}},
        ),
        ("d\u00e9v: Jos\u00e9 a:b\n".encode(), {"Jos\u00e9": {"d\u00e9v"}, "a:b": {"d\u00e9v"}}),
    ],
)
def test_groups_are_read_as_apache_reads_them(data: bytes, expected: dict[str, set[str]]) -> None:
    """Members are parted by blanks and may stand in quotes; a group may have several lines."""
    assert read_groups(data) == expected


@pytest.mark.parametrize("line", ["dev alice", ": alice", 'dev: "alice', "dev: 'a b", 'dev: "a"b'])
def test_a_bad_line_of_groups_is_told(line: str, path: Path, tmp_path: Path) -> None:
    """With the file and the number."""
    with pytest.raises(ConfigurationError, match=r"groups, line 2: "):
        HtpasswdDirectory(write(path), group_file=write(tmp_path / "groups", "ops: bob", line))


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [(None, None), ({}, set()), ({"dev": ["read"], "ops": ["write"], "x": ["y"]}, {"read", "write"})],
)
def test_groups_give_the_ceiling(
    scopes: dict[str, Iterable[str]] | None, expected: set[str] | None, path: Path, tmp_path: Path
) -> None:
    """Every group's scopes together; none without a map."""
    groups = write(tmp_path / "groups", "dev: alice nobody", "ops: alice")

    owner = HtpasswdDirectory(write(path, f"alice:{BCRYPT}"), group_file=groups, scopes=scopes).find("alice")

    assert owner == Owner(name="alice", groups={"dev", "ops"}, scopes=expected)  # type: ignore[arg-type]


# -- construction


@pytest.mark.parametrize(
    "settings",
    [
        {"reload": -1},
        {"reload": "1"},
        {"reload": float("nan")},
        {"at_once": 0},
        {"at_once": 1.5},
        {"at_once": True},
        {"patience": float("inf")},
        {"scopes": {"dev": "read"}},
    ],
)
def test_a_setting_that_can_not_be_is_refused(settings: dict[str, object], path: Path) -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match=rf"directory\.{next(iter(settings))}"):
        HtpasswdDirectory(write(path), **settings)  # type: ignore[arg-type]


# What stands before the real packages, and what is said.
BROKEN = {
    "no bcrypt": (
        {"bcrypt.py": "raise ImportError('none here')"},
        "bcrypt hashes need a package that is missing (pip install 'patmiddleware[htpasswd]')",
    ),
    "old passlib, new bcrypt": (
        {
            "passlib/__init__.py": "__version__ = '1.7.4'",
            "passlib/hash.py": "class bcrypt:\n  def verify(*_): raise ValueError('password cannot be longer')",
            "passlib-1.7.4.dist-info/METADATA": "Name: passlib\nVersion: 1.7.4\n",
        },
        "don't work together (pip uninstall -y passlib libpass && pip install libpass)",
    ),
    "both": (
        {
            "passlib-1.7.4.dist-info/METADATA": "Name: passlib\nVersion: 1.7.4\n",
            "libpass-1.9.4.dist-info/METADATA": "Name: libpass\nVersion: 1.9.4\n",
        },
        "both passlib and libpass are installed, in one folder; run: pip uninstall",
    ),
}
SCRIPT = """
import logging, sys
from patmiddleware.backends.htpasswd import HtpasswdDirectory
logging.basicConfig(stream=sys.stdout, format="%(message)s")
try:
    print(HtpasswdDirectory(sys.argv[1]).authenticate("alice", "x"))
except Exception as error:
    print(type(error).__name__, error)
"""


def in_another_python(path: Path, before: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (before / name).parent.mkdir(parents=True, exist_ok=True)
        (before / name).write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(before), *sys.path]), "PYTHONDEVMODE": ""}
    command = [sys.executable, "-c", SCRIPT, str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize(("files", "said"), BROKEN.values(), ids=BROKEN)
def test_unfit_packages_are_told_at_construction(files: dict[str, str], said: str, path: Path, tmp_path: Path) -> None:
    """One sentence says what to install, where a bcrypt hash stands in the file."""
    if "bcrypt.py" in files and passlib.__version__.startswith("1.7"):
        pytest.skip("platform: the old passlib finds bcrypt in the system's crypt as well")

    assert said in in_another_python(write(path, f"alice:{BCRYPT}"), tmp_path / "before", files)


@pytest.mark.parametrize("files", [BROKEN["no bcrypt"][0], BROKEN["both"][0]], ids=["no bcrypt", "both"])
def test_without_a_bcrypt_hash_nobody_asks_for_bcrypt(files: dict[str, str], path: Path, tmp_path: Path) -> None:
    """Other hashes need nothing more than the base."""
    assert in_another_python(write(path, f"alice:{HASHES['SHA-512']}"), tmp_path / "before", files) == "None\n"


# -- cost


def test_an_unknown_name_costs_a_check(path: Path) -> None:
    """Somebody else's hash is checked in its place, so that the time does not tell who is here."""
    directory = HtpasswdDirectory(write(path, f"alice:{BCRYPT}", "bob:!"), at_once=1, patience=0)

    with waiting(directory):
        for name in ("alice", "bob", "nobody"):
            with pytest.raises(BackendUnavailable, match="too many passwords"):
                directory.authenticate(name, PASSWORD)


def test_somebody_elses_hash_lets_no_stranger_in(path: Path) -> None:
    """Though it is checked, and the password is right for it."""
    directory = HtpasswdDirectory(write(path, f"alice:{BCRYPT}"))

    assert [directory.authenticate(f"nobody{number}", PASSWORD) for number in range(5)] == [None] * 5


def test_what_can_not_be_a_password_costs_nothing(path: Path) -> None:
    """It is refused before any work, whoever it is for."""
    directory = HtpasswdDirectory(write(path, f"alice:{BCRYPT}"), at_once=1, patience=0)

    with waiting(directory):
        for password in ("", "\0", "\0\0", "a\0", "\udcff", "x" * 5000):
            assert directory.authenticate("alice", password) is None


def test_so_many_are_checked_at_once_and_no_more(path: Path) -> None:
    """Others wait for their turn, and then get it."""
    directory = HtpasswdDirectory(write(path, f"alice:{BCRYPT}"), at_once=1, patience=30)
    came = Event()
    thread = Thread(target=lambda: directory.authenticate("alice", PASSWORD) and came.set())

    with waiting(directory):
        thread.start()
        assert not came.wait(0.1)

    assert came.wait(30)
    thread.join()
