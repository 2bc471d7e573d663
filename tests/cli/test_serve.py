"""``patmiddleware serve``."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("waitress", reason="needs the extra server")

from cli.running import Answer, ended, environ, request, running

if TYPE_CHECKING:
    from conftest import Place

SLOW_APP = """
import pathlib, time

def application(environ, start_response):
    pathlib.Path("begun").touch()
    time.sleep(1.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * 3_000_000]
"""


def test_it_serves_what_is_configured(place: Place) -> None:
    """It says where, lets a token in and nobody else, and ends with 0."""
    secret = place.token()["secret"]

    with running(["serve", "--json"], place.folder) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        allowed = request("GET", f"{url}/issue/OPS-1", {"Authorization": f"Bearer {secret}"})
        refused = request("GET", f"{url}/issue/OPS-1")
        code, _, err = ended(process, signal.SIGTERM)

    assert (allowed.status, refused.status) == (200, 401)
    assert "Server" not in refused.headers
    assert (code, err) == (0, "")


def test_a_port_that_is_taken_is_told(place: Place) -> None:
    """One sentence, which says where the port stands."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        place.config.write_text(place.config.read_text().replace("127.0.0.1:0", where))

        done = place.process("serve")

    told = f"can't listen at {where}: Address already in use; choose another port in [server] listen of {place.config}"
    assert (done.returncode, done.stderr) == (1, f"patmiddleware: {told}\n")


def test_an_address_of_another_machine_is_told(place: Place) -> None:
    """That no other port will do is said: it is the address that must be another one."""
    place.config.write_text(place.config.read_text().replace("127.0.0.1:0", "192.0.2.1:8080"))

    done = place.process("serve")

    why = "Cannot assign requested address; this machine has no such address: choose one that it has"
    told = f"can't listen at 192.0.2.1:8080: {why}, or 0.0.0.0 for all of them, in [server] listen of {place.config}"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"patmiddleware: {told}")


def test_a_port_that_is_not_for_everybody_is_told() -> None:
    """Who may not listen at a low port hears from where on one may."""
    program = (
        "import encodings.idna, os, waitress.server; from patmiddleware.cli.serving import Server\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: Server(print, '127.0.0.1', 1, place='here')\n"
        "except Exception as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", program], env=environ(), capture_output=True, text=True, timeout=60)

    assert done.stdout == (
        "can't listen at 127.0.0.1:1: Permission denied; this user may not: choose a port from 1024 on here\n"
    )


def test_last_use_is_written_before_the_end(place: Place) -> None:
    """What waited behind the requests is not lost."""
    made = place.token()

    with running(["serve", "--json"], place.folder) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        request("GET", f"{url}/issue/OPS-1", {"Authorization": f"Bearer {made['secret']}"})
        ended(process, signal.SIGTERM)

    assert place.json("token", "show", made["token"]["id"])["token"]["last_used"]["address"] == "127.0.0.1"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_requests_in_flight_are_answered(place: Place, by: signal.Signals) -> None:
    """A request that is being worked on when the end comes gets its whole answer."""
    (place.folder / "slow_app.py").write_text(SLOW_APP)
    place.config.write_text(place.config.read_text().replace("wsgiref.simple_server:demo_app", "slow_app:application"))
    secret = place.token()["secret"]
    answers: list[Answer] = []

    with running(["serve", "--json"], place.folder) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        headers = {"Authorization": f"Bearer {secret}"}
        asking = threading.Thread(target=lambda: answers.append(request("GET", f"{url}/issue/OPS-1", headers)))
        asking.start()
        while not (place.folder / "begun").exists() and asking.is_alive():
            time.sleep(0.01)
        code, _, err = ended(process, by)
        asking.join(60)

    assert [(answer.status, len(answer.body)) for answer in answers] == [(200, 3_000_000)]
    assert (code, err) == (0, "")


def test_an_open_address_draws_a_warning(place: Place) -> None:
    """Whoever binds beyond this machine is told that tokens travel in clear."""
    place.config.write_text(place.config.read_text().replace("127.0.0.1:0", "0.0.0.0:0"))
    place.run("store", "init")

    with running(["serve"], place.folder) as process:
        assert process.stdout is not None
        started = process.stdout.readline()
        code, _, err = ended(process, signal.SIGINT)

    assert started.startswith("Serving at http://0.0.0.0:")
    assert err == "Warning: other machines reach 0.0.0.0, and tokens travel as they are: put TLS in front.\n"
    assert code == 0
