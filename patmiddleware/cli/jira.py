"""``patmiddleware jira``: what concerns Jira alone."""

from __future__ import annotations

import click

from .jiraimport import import_tokens


@click.group()
def jira() -> None:
    """Take over what Jira has."""


jira.add_command(import_tokens)
