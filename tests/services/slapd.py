"""A real LDAP server of our own: OpenLDAP's slapd with memberof, ppolicy, StartTLS and ldaps, on loopback.

All its state is in a directory that goes away with it. It listens on two ports that were free a moment before. Skips
where slapd, openssl or python-ldap is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from services.running import free_port, stopped

BASE = "dc=example,dc=org"
ADMIN, PASSWORD = f"cn=admin,{BASE}", "admins-secret"
SERVICE, SERVICE_PASSWORD = f"cn=gate,ou=services,{BASE}", "gates-secret"
POLICY = f"cn=default,ou=policies,{BASE}"

_PATIENCE = 60.0  # seconds to start or to stop
_SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
{schema}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
{general}
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {password}
directory {folder}/db
maxsize 268435456
dbnosync
index objectClass,uid,cn,member eq
{memberof}
overlay ppolicy
ppolicy_default "{policy}"
ppolicy_use_lockout
{access}
"""

_TLS = """\
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
TLSCACertificateFile {folder}/cert.pem
"""

_MEMBEROF = """\
index memberOf eq
overlay memberof
memberof-refint TRUE
memberof-dangling ignore
"""

_ACCESS = """\
access to attrs=userPassword by self write by anonymous auth by * none
access to * by users read by anonymous auth
"""

# Attributes of Active Directory and of 389 Directory Server, with syntaxes near enough to theirs.
SCHEMA = """\
attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'userAccountControl'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.1.2 NAME 'lockoutTime' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.1.3 NAME 'accountExpires' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.1.4 NAME 'nsAccountLock' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'otherAccount' SUP top AUXILIARY
  MAY ( userAccountControl $ lockoutTime $ accountExpires $ nsAccountLock $ shadowExpire ) )
"""

_LDIF = f"""\
dn: {BASE}
objectClass: domain
dc: example

dn: ou=services,{BASE}
objectClass: organizationalUnit
ou: services

dn: ou=policies,{BASE}
objectClass: organizationalUnit
ou: policies

dn: {SERVICE}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gate
userPassword: {SERVICE_PASSWORD}

dn: {POLICY}
objectClass: pwdPolicy
objectClass: device
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
"""

Values = str | bytes | Iterable[str | bytes]


def program(name: str) -> str:
    """Give the path of a program, or skip the test."""
    found = shutil.which(name, path=_SEARCHED)
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install slapd openssl")
    return found


class Slapd:
    """A server that runs from ``__enter__`` to ``__exit__``, and may be stopped and started meanwhile.

    Args:
        general: lines for the whole server, such as ``idletimeout 1``.
        access: who may see what.
        names: what the certificate is for; left out: localhost, this machine's name and 127.0.0.1.
        tls: whether it has a certificate at all.
        memberof: whether people's entries tell of their groups.
    """

    def __init__(
        self,
        *,
        general: str = "",
        access: str = _ACCESS,
        names: Iterable[str] = (),
        tls: bool = True,
        memberof: bool = True,
    ) -> None:
        self._ldap = pytest.importorskip("ldap", reason="python-ldap is missing: pip install 'patmiddleware[ldap]'")
        self._slapd, self._slapadd, self._openssl = program("slapd"), program("slapadd"), program("openssl")
        # libldap takes this machine's own name for that of a server on loopback.
        self._names = tuple(names) or ("DNS:localhost", f"DNS:{socket.gethostname()}", "IP:127.0.0.1")
        self._general, self._access, self._tls, self._memberof = general, access, tls, memberof
        self._process: subprocess.Popen[bytes] | None = None
        self._corners = count(1)

    def __enter__(self) -> Slapd:
        # Not pytest's own: its folders are for one user, and names in it may be too long.
        self.folder = Path(tempfile.mkdtemp(prefix="slapd-", dir="/tmp"))
        try:
            self._prepare()
            try:
                self.start()
            except RuntimeError:  # somebody was faster at a port
                self.stop()
                self._choose_ports()
                self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def ca_file(self) -> str:
        """The certificate, which is its own authority."""
        return str(self.folder / "cert.pem")

    def address(self, base: str = BASE, scheme: str = "ldap") -> str:
        """Give the address of a base on this server."""
        return f"{self.uri if scheme == 'ldap' else self.secure_uri}/{base}"

    def start(self) -> None:
        """Start it, on the ports that it had before, and wait until it answers."""
        listening = f"{self.uri}/ {self.secure_uri}/" if self._tls else f"{self.uri}/"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._slapd, "-d", "0", "-f", self.folder / "slapd.conf", "-h", listening],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"slapd does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_PATIENCE)

    def signal(self, number: int) -> None:
        """Send the running server a signal, as to hold it up."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            stopped(self._process.pid)

    def clients(self) -> set[int]:
        """Give the ports of the connections that clients have open to the plain port (of Linux's own table)."""
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        rows = [line.split() for line in lines]
        return {
            int(remote.partition(":")[2], 16)
            for _, local, remote, state, *_ in rows
            if local.endswith(f":{self.port:04X}") and state == "01"
        }

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """Give a connection of the administrator's."""
        connection = self._ldap.initialize(self.uri)
        connection.set_option(self._ldap.OPT_NETWORK_TIMEOUT, _PATIENCE)
        connection.simple_bind_s(ADMIN, PASSWORD)
        try:
            yield connection
        finally:
            connection.unbind_s()

    def add(self, dn: str, **attributes: Values) -> str:
        """Add an entry, and give its DN back."""
        with self.admin() as connection:
            connection.add_s(dn, list(_encoded(attributes).items()))
        return dn

    def set(self, dn: str, **attributes: Values) -> None:
        """Replace attributes of an entry; one without values goes."""
        replace, relax = self._ldap.MOD_REPLACE, self._ldap.controls.RequestControl("1.3.6.1.4.1.4203.666.5.12", True)
        changes = [(replace, name, values or None) for name, values in _encoded(attributes).items()]
        with self.admin() as connection:
            connection.modify_ext_s(dn, changes, serverctrls=[relax])

    def remove(self, dn: str) -> None:
        """Remove an entry without children."""
        with self.admin() as connection:
            connection.delete_s(dn)

    def corner(self) -> Corner:
        """Give a part of the tree that nobody else uses."""
        base = self.add(f"ou=corner{next(self._corners)},{BASE}", objectClass="organizationalUnit")
        for name in ("people", "groups"):
            self.add(f"ou={name},{base}", objectClass="organizationalUnit")
        return Corner(self, base)

    def _prepare(self) -> None:
        (self.folder / "db").mkdir()
        self._choose_ports()
        make_certificate(self.folder, self._names, self._openssl)
        conf = _CONF.format(
            schema=SCHEMA,
            folder=self.folder,
            general="\n".join((self._general, *self._modules())),
            memberof=_MEMBEROF if self._memberof else "",
            base=BASE,
            admin=ADMIN,
            password=PASSWORD,
            policy=POLICY,
            access=self._access,
        )
        (self.folder / "slapd.conf").write_text(conf, encoding="utf-8")
        (self.folder / "init.ldif").write_text(_LDIF, encoding="utf-8")
        command = [self._slapadd, "-q", "-f", self.folder / "slapd.conf", "-l", self.folder / "init.ldif"]
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
        if done.returncode:
            raise RuntimeError(f"slapadd failed: {done.stderr.decode(errors='replace')}")

    def _choose_ports(self) -> None:
        self.port, self.secure_port = free_port(), free_port()
        self.uri, self.secure_uri = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.secure_port}"

    def _modules(self) -> Iterator[str]:
        if self._tls:
            yield _TLS.format(folder=self.folder)
        if self._memberof:
            yield "moduleload memberof"

    def _answers(self) -> bool:
        connection = self._ldap.initialize(self.uri)
        connection.set_option(self._ldap.OPT_NETWORK_TIMEOUT, 1.0)
        try:
            connection.simple_bind_s()
        except self._ldap.LDAPError:
            return False
        connection.unbind_s()
        return True


class Corner:
    """A base with people and groups of its own.

    Attributes:
        base: its DN; ``ou=people`` and ``ou=groups`` are below.
    """

    def __init__(self, server: Slapd, base: str) -> None:
        self.server, self.base = server, base
        self.people, self.groups = f"ou=people,{base}", f"ou=groups,{base}"

    @property
    def address(self) -> str:
        """The address of this corner."""
        return self.server.address(self.base)

    def person(self, name: str, under: str = "", **attributes: Values) -> str:
        """Add a person with the password ``NAME's password``, and give the DN."""
        kinds = ["inetOrgPerson", "otherAccount"]
        facts: dict[str, Values] = {"uid": name, "cn": name, "sn": name, "userPassword": f"{name}'s password"}
        return self.server.add(
            f"uid={escaped(name)},{under or self.people}", objectClass=kinds, **{**facts, **attributes}
        )

    def group(self, name: str, members: Iterable[str], under: str = "", **attributes: Values) -> str:
        """Add a group of names of members, and give the DN."""
        dn = f"cn={escaped(name)},{under or self.groups}"
        return self.server.add(dn, objectClass="groupOfNames", cn=name, member=list(members), **attributes)


def escaped(value: str) -> str:
    """Give a value as it stands in a DN."""
    from ldap.dn import escape_dn_chars

    return str(escape_dn_chars(value))


def make_certificate(folder: Path, names: Iterable[str], openssl: str = "openssl") -> None:
    """Make ``cert.pem``, signed by itself, and ``key.pem`` in a folder.

    Args:
        folder: where to.
        names: what it is for, as ``DNS:localhost``.
        openssl: the program.
    """
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=nobody.invalid", "-addext", f"subjectAltName={','.join(names)}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=True)


def _encoded(attributes: Mapping[str, Values]) -> dict[str, list[bytes]]:
    lists = {name: [value] if isinstance(value, str | bytes) else value for name, value in attributes.items()}
    return {
        name: [value.encode() if isinstance(value, str) else value for value in values]
        for name, values in lists.items()
    }
