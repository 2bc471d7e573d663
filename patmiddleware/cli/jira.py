"""``patmiddleware jira``: what concerns Jira alone."""

from __future__ import annotations

import click

from .jiraconnect import connect, connections, disconnect, rekey
from .jiraimport import import_tokens


@click.group()
def jira() -> None:
    """Connect owners to Jira by credentials of their own; take over the tokens that Jira made."""


for command in (connect, disconnect, connections, rekey, import_tokens):
    jira.add_command(command)
