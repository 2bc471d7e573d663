"""``flask token``: the commands of ``patmiddleware token``, on what the application has in hand."""

from __future__ import annotations

from copy import copy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from ..config import Given
from ..errors import PATMiddlewareError
from .embedding import Embedding

if TYPE_CHECKING:
    from ..cli.invocation import Invocation

_LEFT_OUT = ("adopt",)
"""What is about an upstream, which an application that is its own has none of."""


class Tokens(click.Group):
    """The commands, read in when one is used.

    Args:
        embedding: whose store, policy, directory, limits and audit they work with.
    """

    NAME = "token"

    def __init__(self, embedding: Embedding) -> None:
        super().__init__(self.NAME, help="Make, list, show, rotate and revoke tokens.")
        self._embedding = embedding

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of all."""
        from ..cli.token import token

        return [name for name in token.list_commands(ctx) if name not in _LEFT_OUT]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give one of them without the option ``--config``: the application has its settings."""
        from ..cli.token import token

        found = None if cmd_name in _LEFT_OUT else token.get_command(ctx, cmd_name)
        if found is None:
            return None
        command = copy(found)
        command.params = [each for each in found.params if each.name != "config"]
        return command

    def invoke(self, ctx: click.Context) -> Any:  # Any: as click has it
        """Run one; what goes wrong is told in a sentence, with the exit codes of ``patmiddleware``."""
        if find_spec("rich") is None:
            raise click.ClickException("the commands need rich: run pip install 'patmiddleware[cli]'")
        ctx.obj = self._invocation()
        try:
            return super().invoke(ctx)
        except (PATMiddlewareError, OSError) as error:
            from ..cli.root import report

            ctx.exit(report(error, as_json=ctx.obj.json))

    def _invocation(self) -> Invocation:
        from ..cli.invocation import Invocation

        here = self._embedding
        given = Given(store=here.store, policy=here.policy, directory=here.directory, audit=here.audit)
        return Invocation(given=given, settings=here.config)
