"""``patmiddleware completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .invocation import Invocation, common, pass_invocation

_HOW = {
    "bash": 'eval "$(patmiddleware completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(patmiddleware completion zsh)"   # in ~/.zshrc',
    "fish": "patmiddleware completion fish > ~/.config/fish/completions/patmiddleware.fish",
}


@click.command(epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice(list(_HOW)))
@common
@pass_invocation
def completion(invocation: Invocation, shell: str) -> None:
    """Print what teaches a shell to complete commands and options."""
    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above are the shells that click has
    script = kind(root.command, {}, "patmiddleware", "_PATMIDDLEWARE_COMPLETE").source()
    invocation.answer({"shell": shell, "script": script, "install": _HOW[shell]}, script.rstrip("\n"))
