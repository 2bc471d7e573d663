"""A PostgreSQL and a MariaDB server of the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from services.running import HOST, Service, folder, free_port, listens, program

_POSTGRESQL = [f"/usr/lib/postgresql/{version}/bin" for version in range(20, 12, -1)]
_numbers = count()


_EMPTY = ("DELETE FROM patmw_use", "DELETE FROM patmw_token", "UPDATE patmw_revision SET value = 0")


class DatabaseServer(Service):
    """A server with many databases.

    Attributes:
        port: that it listens at.
    """

    port: int
    address: str
    _spare: list[str]

    def new_database(self) -> str:
        """Make an empty database, and give its address as a store."""
        name = f"pat{os.getpid()}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.address.format(name)

    @contextmanager
    def lending(self) -> Iterator[Callable[[], str]]:
        """Give what gives addresses as :meth:`new_database` does, or those of stores that were lent before and emptied.

        To make the tables takes longer than most that is done with them.
        """
        lent: list[str] = []

        def lend() -> str:
            lent.append(self._spare.pop() if self._spare else self.new_database())
            return lent[-1]

        yield lend
        for address in lent:
            for statement in _EMPTY:
                self.run(statement, address.rpartition("/")[2])
        self._spare += lent

    def run(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run a statement as the administrator, and give its rows."""
        raise NotImplementedError


class PostgreSQLServer(DatabaseServer):
    """PostgreSQL, without fsync."""

    def run(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(
            host=HOST, port=self.port, user="postgres", dbname=database or "postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


class MariaDBServer(DatabaseServer):
    """MariaDB, without its binary log."""

    def run(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        import pymysql

        connection = pymysql.connect(host=HOST, port=self.port, user="root", database=database, autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


def _as_postgres(command: list[str]) -> list[str]:
    """Neither initdb nor postgres runs as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env", *command]


@contextmanager
def postgresql(*, options: tuple[str, ...] = ()) -> Iterator[PostgreSQLServer]:
    """Run PostgreSQL. What was committed outlives a kill of the server.

    Args:
        options: more settings, as ``name=value``.
    """
    initdb, postgres = (_newest(name) for name in ("initdb", "postgres"))
    with folder("postgres") as home:
        data = home / "data"
        make = [initdb, "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(_as_postgres(make), check=True, capture_output=True, cwd="/", timeout=60)
        port = free_port()
        settings = {
            "listen_addresses": HOST, "port": port, "unix_socket_directories": home, "max_connections": 300,
            "fsync": "off", "full_page_writes": "off",
        }  # fmt: skip
        pairs = [*(f"{name}={value}" for name, value in settings.items()), *options]
        command = [postgres, "-D", str(data), *(part for pair in pairs for part in ("-c", pair))]
        log = home / "log"
        log.touch(mode=0o666)
        server = PostgreSQLServer(_as_postgres(command), log, lambda: _answers_postgresql(port), ending=signal.SIGINT)
        server.port, server.address, server._spare = port, f"postgresql://postgres@{HOST}:{port}/{{}}", []
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _newest(name: str) -> str:
    # Before the PATH: what stands there may be a wrapper that refuses root.
    for place in _POSTGRESQL:
        if found := shutil.which(name, path=place):
            return found
    return program(name)


def _answers_postgresql(port: int) -> bool:
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(host=HOST, port=port, user="postgres", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def mariadb() -> Iterator[MariaDBServer]:
    """Run MariaDB. What was committed outlives a kill of the server."""
    pytest.importorskip("pymysql")
    install, server_program = program("mariadb-install-db"), program("mariadbd")
    user = ["--user=root"] if os.geteuid() == 0 else []
    with folder() as home:
        data = home / "my"
        subprocess.run(
            [
                install, "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", *user,
                f"--datadir={data}",
            ],
            # A server that starts removes what it takes for left-overs of its own from a folder that others use, too.
            check=True, capture_output=True, cwd="/", timeout=120, env={**os.environ, "TMPDIR": str(home)},
        )  # fmt: skip
        port = free_port()
        command = [
            server_program, "--no-defaults", *user, f"--datadir={data}", f"--port={port}", f"--bind-address={HOST}",
            f"--tmpdir={home}",
            f"--socket={home}/my.sock", f"--pid-file={home}/my.pid", "--skip-log-bin", "--max-connections=300",
            "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M",
        ]  # fmt: skip
        server = MariaDBServer(command, Path(home / "log"), lambda: listens(port))
        server.port, server.address, server._spare = port, f"mysql://root@{HOST}:{port}/{{}}", []
        try:
            server.start()
            yield server
        finally:
            server.kill()  # to end in order it would write for a minute what is thrown away
