"""The pages of the documentation, as what stands in their blocks of code.

A line that ends in ``NAME`` in backquotes and a colon names the block below it as a file; a line that ends in "prints:"
makes a ``text`` block what the Python above it prints; ``<!-- not run: REASON -->`` leaves a block alone.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("[A-Z]*.md")), *DOCS, *sorted(ROOT.glob("examples/*/README.md"))]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run:(.*?)-->", re.DOTALL)
_NAME = re.compile(r"`([\w./-]+\.\w+)`:$")
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code on a page.

    Args:
        page: where it stands.
        line: of its first line, from 1.
        language: as the fence says.
        text: without the fence.
        before: the paragraph above it.
    """

    page: Path
    line: int
    language: str
    text: str
    before: str

    @property
    def excuse(self) -> str | None:
        """Why it is not run; None where it is."""
        found = _NOT_RUN.search(self.before)
        return found and found[1].strip()

    @property
    def name(self) -> str | None:
        """The name of the file that it is; None where it is none."""
        found = _NAME.search(_NOT_RUN.sub("", self.before).strip())
        return found and found[1]

    @property
    def is_printed(self) -> bool:
        """Whether it is what the Python above it prints."""
        return self.language == "text" and _NOT_RUN.sub("", self.before).strip().endswith("prints:")

    @property
    def id(self) -> str:
        """Where it stands, for people."""
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"

    def commands(self) -> Iterator[tuple[str, str]]:
        """Give the commands behind a prompt, each with what it shows."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = re.sub(r"\\\n\s*", "", part).partition("\n")
            yield command, shown


def blocks(page: Path, *languages: str) -> list[Block]:
    """Give the blocks of a page, in order; of some languages, or of any."""
    text = page.read_text("utf-8")
    found = (
        Block(
            page, text[: match.start("text")].count("\n") + 1, match["language"].strip(), dedent(match["text"]), above
        )
        for match in _FENCE.finditer(text)
        for above in [_above(text[: match.start()])]
    )
    return [block for block in found if not languages or block.language in languages]


def _above(text: str) -> str:
    """Give the last paragraph, together with a comment above it."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text.rsplit("```", 1)[-1]) if part.strip()]
    return "\n".join(paragraphs[-2:] if paragraphs[-2:-1] and paragraphs[-2].startswith("<!--") else paragraphs[-1:])


def lines(page: Path) -> list[str]:
    """Give the commands of the console blocks, with or without a prompt, whole where a backslash broke them."""
    every = "".join(block.text for block in blocks(page, "console") if block.excuse is None)
    return [line.removeprefix(_PROMPT) for line in re.sub(r"\\\n\s*", "", every).splitlines()]


def called(line: str) -> list[str] | None:
    """Give the words behind ``patmiddleware`` on a line; None where something else is called."""
    found = re.search(r"(?:^|\$\(|\| |&& )(?:[A-Z_]+=\S+ )*(?:sudo (?:-u \w+ )?)?(?:\S+/)?patmiddleware (.*)$", line)
    if not found:
        return None
    rest = re.split(r" \| |\)", found[1])[0] if "$(" in line else found[1]
    words = shlex.split(rest.replace("--secret -", ""), comments=True)  # which would be read
    ends = [number for number, word in enumerate(words) if word in ("|", "&&", "&", ">", "<", ">>")]
    return words[: ends[0]] if ends else words


def check_command(words: list[str]) -> None:
    """Judge that a command is there, and takes what it is given.

    Raises:
        click.UsageError: when it does not.
    """
    import click

    from patmiddleware.cli.root import commands

    command: Any = commands
    context = None
    # A file that is read stands for one that is there.
    words = [os.devnull if word.endswith((".csv", ".jsonl")) else word for word in words]
    if words[0].startswith("--"):  # options of the whole program
        commands.make_context("patmiddleware", words)
        return
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        found = command.get_command(context, words[0]) if words else None
        if found is None:
            raise click.UsageError(f"there is no {shlex.join(words)}")
        command, words = found, words[1:]
    if command.name != "serve":  # which begins at once
        command.make_context(command.name, words, parent=context)


def alike(shown: str, seen: str) -> bool:
    """Say whether an output is what is shown, where ``…`` stands for anything; blanks and empty lines don't count."""
    wanted = ".*".join(re.escape(part) for part in " ".join(shown.split()).split("…"))
    return re.fullmatch(wanted.replace(r"\ ", " "), " ".join(seen.split())) is not None
