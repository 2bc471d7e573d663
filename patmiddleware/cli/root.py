"""The root of all commands: whatever goes wrong becomes one sentence and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, NoReturn

import click

from ..errors import BackendError, ConfigurationError, RefusedError
from . import adopt, check, completion, demo, jira, policy, policyshow, serve, store, terminal, token
from .invocation import Invocation, common

DONE, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130
NAME = "patmiddleware"
TRACEBACK = "PATMIDDLEWARE_TRACEBACK"


class Commands(click.Group):
    """The root of all commands: turns whatever goes wrong into one sentence and an exit code."""

    # Click's own has overloads for what this one never does: return.
    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        obj: Invocation | None = None,
        **extra: Any,
    ) -> NoReturn:
        """Run a command and end the process with 0 (done), 1 (refused, not found) or 2 (usage, configuration)."""
        _prepare_streams()
        code = self._run(sys.argv[1:] if args is None else list(args), obj)
        _let_go_of_streams()
        sys.exit(code)

    def _run(self, args: Sequence[str], obj: Invocation | None) -> int:
        try:
            code = super().main(args, NAME, f"_{NAME.upper()}_COMPLETE", standalone_mode=False, obj=obj)
            sys.stdout.flush()
            return code if isinstance(code, int) else DONE
        except BrokenPipeError:  # the reader has seen enough; click ends in the same way
            return REFUSED
        except (KeyboardInterrupt, click.Abort):
            terminal.note("Interrupted.")
            return INTERRUPTED
        except Exception as error:  # the last stop: no traceback reaches a user
            return report(error, as_json="--json" in args)


def _prepare_streams() -> None:
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as we run
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # a terminal in ASCII must not end in an error
            reconfigure(errors="backslashreplace")


def _let_go_of_streams() -> None:
    """Leave nothing in a buffer that Python would end with another exit code for, where it can't be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong, in one sentence or one JSON document, and give the exit code."""
    code, message, problems = _described(error)
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    if as_json:
        document = {"error": message, "code": code}
        with suppress(OSError):  # where it can't be written, that is told in words
            terminal.write_json(document | ({"problems": problems} if problems else {}))
            sys.stdout.flush()
            return code
    terminal.note(f"{NAME}: {message}")
    for problem in problems:
        terminal.note(f"  {problem['id']}  {problem['setting']}: {problem['message']}")
        if problem["hint"]:
            terminal.note(f"{'':12}→ {problem['hint']}")
    return code


def _described(error: Exception) -> tuple[int, str, list[dict[str, str]]]:
    match error:
        case ConfigurationError():
            count = len(error.problems)
            problems = [
                {"id": each.id, "setting": each.setting, "message": each.message, "hint": each.hint}
                for each in error.problems
            ]
            return USAGE, f"there {'is one problem' if count == 1 else f'are {count} problems'} to mend", problems
        case click.exceptions.NoArgsIsHelpError():
            return USAGE, f"which command?\n\n{error.ctx.get_help()}", []
        case click.UsageError():
            hint = f"; try '{error.ctx.command_path} --help'" if error.ctx else ""
            # Click puts each choice on a line of its own.
            return USAGE, f"{' '.join(error.format_message().split()).rstrip('.')}{hint}", []
        case click.ClickException():
            return error.exit_code, error.format_message(), []
        case RefusedError() | BackendError():
            return REFUSED, str(error), []
        case OSError() if _is_nowhere():
            return REFUSED, "the current folder is not there any more: change to another one", []
        case OSError():
            where = f"{Path(os.fsdecode(error.filename))}: " if error.filename else ""
            return REFUSED, f"{where}{error.strerror or error}", []
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    message = f"a fault of the program itself ({type(error).__name__} in {where})"
    return REFUSED, f"{message}; set {TRACEBACK}=1 to see more, and please report it", []


def _is_nowhere() -> bool:
    """Say whether the current folder was deleted, so that no relative path leads anywhere."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def version() -> str:
    """Give the version that is installed."""
    try:
        return installed_version(NAME)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version(), prog_name=NAME)
@common
def commands() -> None:
    """Personal access tokens for any WSGI application.

    New here? Run 'patmiddleware demo'.
    """


token.token.add_command(adopt.adopt)
policy.policy.add_command(policyshow.show)
for command in (
    demo.demo,
    serve.serve,
    check.check,
    token.token,
    policy.policy,
    store.store,
    jira.jira,
    completion.completion,
):
    commands.add_command(command)
