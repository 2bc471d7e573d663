"""``patmiddleware demo``: the main job with nothing to set up."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

import click

from ..audit import AuditLog
from ..config import Config, build
from ..demo.link import linked
from ..demo.run import Demo, found, set_up
from . import terminal
from .invocation import Invocation, common, pass_invocation
from .serving import Server

STYLES = {"allowed": "green", "denied": "red", "observed": "yellow", "Jira": "cyan", "no way": "red"}
WAYS = {"forwarded": "Jira", "forward.failed": "no way", "link.broken": "no way"}
"""What the lines of the way to Jira are called; the others are decisions of the gate."""


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0: any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Keep the demo in this folder.")
@click.option("--only-jira", is_flag=True, help="Run the stand-in of the demo in --dir alone, for 'serve' to lead to.")
@common
@pass_invocation
def demo(invocation: Invocation, port: int, host: str, folder: Path | None, only_jira: bool) -> None:
    """Run a small Jira stand-in behind the token gate, and print what to try.

    Without --dir it lives in a temporary folder that is removed at the end.
    """
    if only_jira:
        _only_jira(invocation, folder)
        return
    with _place(folder) as place:
        made = set_up(Path(place), host, port)
        audit = made.config.path.with_name("audit.jsonl")
        with _jira(made.config).aside(), open(audit, "a", encoding="utf-8", opener=_private) as file:
            _serve(invocation, made, host, port, file)
    if not invocation.json:
        terminal.say("\nThe demo has ended.")


def _only_jira(invocation: Invocation, folder: Path | None) -> None:
    if folder is None:
        raise click.UsageError("--only-jira needs the folder of a demo: add --dir")
    config = found(folder)
    url, server = config.app.upstreams[0].upstream if config.app.upstreams else "", _jira(config)

    def ready() -> None:
        invocation.answer({"url": url}, f"The stand-in for Jira alone is at {url}. Ctrl-C ends it.")
        sys.stdout.flush()

    server.run(ready)


def _jira(config: Config) -> Server:
    standin, host, port = linked(config)
    return Server(standin, host, port, place=f"for the stand-in, in [app] upstream of {config.path}")


def _serve(invocation: Invocation, made: Demo, host: str, port: int, file: TextIO) -> None:
    # The gate comes second: links that it rewrites lead to where the server listens.
    server = Server(lambda environ, start_response: gate(environ, start_response), host, port, place="with --port")
    gate = build(made.served_at(server.url), audit=AuditLog(file if invocation.json else LiveView(file)))

    def ready() -> None:
        if invocation.json:
            terminal.write_json(_document(made, server.url))
        else:
            _show(made, server.url)
        sys.stdout.flush()

    try:
        server.run(ready)
    finally:
        gate.close()


def _place(folder: Path | None) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="patmiddleware-demo-") if folder is None else nullcontext(str(folder))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class LiveView:
    """Writes the audit to a file, and shows each decision on the terminal.

    Args:
        file: where the lines go as they are.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._console = terminal.console(sys.stdout)

    def write(self, text: str) -> None:
        """Take lines of the audit."""
        self._file.write(text)
        with suppress(OSError):  # nobody looks any more
            for line in text.splitlines():
                self._show(json.loads(line))

    def flush(self) -> None:
        """Send on what is held back."""
        self._file.flush()
        with suppress(OSError):
            sys.stdout.flush()

    def _show(self, entry: dict[str, Any]) -> None:  # Any: what JSON gives
        from rich.text import Text

        decision = WAYS.get(entry["event"]) or str(entry.get("decision", ""))
        if not decision:
            return
        verdict = f"{decision} {entry['status']}" if entry.get("status") else decision
        needed = f": needs {', '.join(entry['needed'])}" if entry.get("needed") else ""
        request = f"{entry.get('who') or entry.get('owner') or '–':<6} {entry['method']:<4} {entry['path']}"
        told = Text.assemble(
            (f"  {entry['time'][11:19]}  ", "dim"),
            (f"{verdict:<10}", STYLES.get(decision, "")),
            f"  {terminal.one_line(request)}  ",
            (terminal.plain(f"{entry.get('reason') or entry.get('why') or ''}{needed}"), "yellow"),
        )
        self._console.print(told, soft_wrap=True)


def _document(made: Demo, url: str) -> dict[str, object]:
    return {
        "url": url,
        "jira": made.jira,
        "config": str(made.config.path),
        "tokens": {
            name: {"id": minted.token.id, "owner": minted.token.owner, "secret": minted.secret}
            for name, minted in made.tokens.items()
        },
        "try": [{"about": each.about, "command": each.command, "status": each.status} for each in made.examples(url)],
        "revoke": {"command": shlex.join(made.revoke()), "words": list(made.revoke())},
    }


def _show(made: Demo, url: str) -> None:
    from rich.text import Text

    console = terminal.console(sys.stdout)

    def line(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    line()
    line("patmiddleware demo", "bold")
    line(f"The token gate is at {url}: what it admits goes on to")
    line(f"a small stand-in for Jira at {made.jira}, as the token's owner.")
    line(f"Settings, policy, tokens and audit log are in {made.config.path.parent}")
    line()
    line("Three tokens of alice", "bold")
    for name, minted in made.tokens.items():
        line(f"  {name:<8} {minted.secret}   id {minted.token.id}, {', '.join(sorted(minted.token.scopes))}")
    line()
    line("Try these in another terminal", "bold")
    examples = made.examples(url)
    for number, each in enumerate(examples, 1):
        line(f"  {number}. {each.about} → {each.status}")
        line(f"     {each.command}", "cyan")
    line(f"  {len(examples) + 1}. Revoke the read token, then try number 1 again: within a second → 401")
    line(f"     {shlex.join(made.revoke())}", "cyan")
    line()
    line("Requests show up below. Ctrl-C ends the demo.", "bold")
    line()
