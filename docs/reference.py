"""Write the tables of the reference from the code: ``python docs/reference.py`` brings the pages up to date.

Each stands on its page between ``<!-- generated: NAME -->`` and ``<!-- end -->``; a test compares.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from inspect import getclosurevars, unwrap
from pathlib import Path
from typing import Any

import patmiddleware
from patmiddleware import annotate
from patmiddleware.config import PROBLEMS, backends, tables, upstreams, values
from patmiddleware.model import Reason
from patmiddleware.reject import ROWS

DOCS = Path(__file__).parent
PACKAGE = Path(patmiddleware.__file__).parent

_REGION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

# Whose defaults hold where a table leaves them to a constructor.
SOURCES: Mapping[str, Sequence[str]] = {
    "store": ("backends/sql/store.py:SQLStore",),
    "store.jwt": ("backends/jwt/reader.py:JWTReader",),
    "store.introspection": ("backends/introspection.py:IntrospectionReader",),
    "directory": ("backends/htpasswd/directory.py:HtpasswdDirectory", "backends/ldap/directory.py:LDAPDirectory"),
    "app": ("config/upstreams.py:UpstreamSettings", "forwarder/transport.py:PooledTransport"),
}

# What readers take, in words; one that is missing here stops the build.
KINDS: Mapping[object, str] = {
    values.text: "text",
    values.boolean: "`true` or `false`",
    values.seconds: "duration",
    values.lifetime: 'duration, or `"never"`',
    values.moment: "day, or time with a zone",
    values.trusted_proxy: 'network, or `"unix"`',
    values.path: "path",
    values.secret: "secret",
    values.address: "address, or secret",
    values.names: "list of text",
    backends.addresses: "address, or secret, or a list",
    backends.text_or_nothing: "text",
    backends.nested: '`true`, `false` or `"ad"`',
    backends.SCOPES: "table of lists of text",
    upstreams.auth: "table: see below",
    upstreams.application: "`module:name`",
    tables.listen: "`HOST:PORT`",
    tables.audit_to: '`"stdout"`, or `"file:PATH"`',
}


def kind(reader: Any) -> str:
    """Say what a reader takes."""
    reader = unwrap(reader)
    if reader in KINDS:
        return KINDS[reader]
    found = getclosurevars(reader).nonlocals
    match reader.__qualname__.partition(".")[0]:
        case "choice":
            return " · ".join(f'`"{word}"`' for word in found["words"])
        case "whole":
            return f"{found['low']:,} to {found['high']:,}"
        case "list_of":
            return f"list of {kind(found['read'])}"
        case "one_or_more":
            return f"{kind(found['read'])}, or a list"
        case "either":
            return f"{kind(found['read'])}, or {kind(found['other'])}"
        case "by_name":
            return f"table of {kind(found['read'])}"
        case "not_yet":
            return "not built yet"
    raise LookupError(f"say in KINDS what {reader.__qualname__} takes")


def settings() -> Iterator[str]:
    """Give every table of a settings file, with every setting."""
    words = tomllib.loads((DOCS / "settings.toml").read_text("utf-8"))
    for name, reader in tables.TABLES.items():
        yield from one_table(name, reader, words[name])


def one_table(name: str, reader: Any, words: Mapping[str, Any]) -> Iterator[str]:
    """Give a table, then those within it."""
    found = getclosurevars(reader).nonlocals
    known = defaults(name, found["kind"])
    if gone := words.keys() - found["readers"].keys() - {""}:
        raise LookupError(f"docs/settings.toml tells of settings of {name} that there are not: {gone}")
    yield f"### `[{name}]`\n\n{words['']}\n\n| setting | takes | default | |\n| --- | --- | --- | --- |"
    readers = {one: unwrap(its) for one, its in found["readers"].items()}
    within = {one: its for one, its in readers.items() if its.__qualname__.startswith("table.")}
    for one, its in readers.items():
        if one not in within and one != "upstreams":
            default = "**needed**" if one in found["required"] else shown(known.get(one), kind(its))
            yield f"| `{one}` | {kind(its)} | {default} | {words[one]} |"
    yield ""
    for one, its in within.items():
        yield from one_table(f"{name}.{one}", its, words[one])


def defaults(name: str, made: Any) -> dict[str, object]:
    """Give the defaults of a table's settings: those of the dataclass that it makes, and of constructors."""
    known: dict[str, object] = {}
    for one in dataclasses.fields(made) if dataclasses.is_dataclass(made) else ():
        known[one.name.rstrip("_")] = None if one.default is dataclasses.MISSING else one.default
    for source in SOURCES.get(name, ()):
        known |= {one: value for one, value in constructor(*source.split(":")).items() if value is not None}
    return known


def constructor(file: str, name: str) -> dict[str, object]:
    """Give the defaults of a constructor, without importing it: its driver may be missing."""
    path = PACKAGE / file
    [its] = [node for node in ast.parse(path.read_text("utf-8")).body if getattr(node, "name", "") == name]
    nodes = its.body if isinstance(its, ast.ClassDef) else []
    init = next((node for node in nodes if getattr(node, "name", "") == "__init__"), None)
    if not isinstance(init, ast.FunctionDef):  # a dataclass
        given = [(node.target, node.value) for node in nodes if isinstance(node, ast.AnnAssign)]
        return {ast.unparse(target): value_of(value, path) for target, value in given if value is not None}
    pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    return {argument.arg: value_of(value, path) for argument, value in pairs if value is not None}


def value_of(node: ast.expr, path: Path) -> object:
    """Give what a default is: a literal, or the name of one in this file or in the one beside it."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        *module, name = ast.unparse(node).split(".")
        file = path.with_name(f"{module[0]}.py") if module else path
        text = file.read_text("utf-8") if file.exists() else ""  # else of the standard library, such as a clock
        found = re.search(rf"^{re.escape(name)} = (.+?)(?:\s+#.*)?$", text, re.MULTILINE)
        return ast.literal_eval(found[1]) if found else None


def shown(value: object, takes: str) -> str:
    """Write a default as a settings file has it."""
    match value:
        case None | "":
            return "–"
        case timedelta():
            return shown(value.total_seconds(), takes)
        case bool():
            return f"`{str(value).lower()}`"
        case (str(host), int(port)):
            return f'`"{host}:{port}"`'
        case int() | float() if takes.startswith("duration") and value >= 1:
            length, unit = next((value / size, unit) for unit, size in UNITS.items() if not value % size)
            return f'`"{length:g}{unit}"`'
        case int() | float():
            return f"`{value:_g}`" if isinstance(value, float) else f"`{value:_}`"
        case str():
            return f'`"{value}"`'
        case tuple() | list() | frozenset():
            return "`[" + ", ".join(f'"{one}"' for one in value) + "]`"
    return "–"


def ways() -> Iterator[str]:
    """Give the kinds of ``auth``, with what each takes."""
    yield "| `kind` | needed | may be given |\n| --- | --- | --- |"
    for name, (readers, needed) in upstreams.AUTH.items():
        may = (one for one in readers if one not in needed)
        yield f"| `{name}` | {coded(needed)} | {coded(may)} |"


def problems() -> Iterator[str]:
    """Give the ids of what can be wrong with settings."""
    yield "| id | |\n| --- | --- |"
    yield from (f"| `{id}` | {about} |" for id, about in PROBLEMS.items())


def refusals() -> Iterator[str]:
    """Give every reason, with how it is answered."""
    yield "| reason in the audit | status | problem, and `error` of the challenge | what the client reads |"
    yield "| --- | --- | --- | --- |"
    for reason in Reason:
        its = ROWS[reason]
        challenge = {"none": "no challenge", "plain": "no `error`"}.get(its.challenge, f"`{its.challenge}`")
        told = f"`{its.kind}`" if challenge == f"`{its.kind}`" else f"`{its.kind}`, {challenge}"
        yield f"| `{reason}` | {its.status} | {told} | {its.text} |"


def environ() -> Iterator[str]:
    """Give the keys of the environ, as the docstring of :mod:`patmiddleware.annotate` has them."""
    _, written, read = re.split(r"\n\nEnviron keys that are read: |removed:\n\n", str(annotate.__doc__))
    yield "| key | value |\n| --- | --- |"
    for found in re.finditer(r"^(``\S.*)\n((?:    .*\n?)+)", written, re.MULTILINE):
        yield f"| {plain(found[1])} | {plain(found[2])} |"
    yield f"\nRead are: {plain(read)}"


def removed() -> Iterator[str]:
    """Give the names that are removed from every request."""
    yield coded(annotate.FORGEABLE)


def commands() -> Iterator[str]:
    """Give every command, with its arguments and options."""
    from patmiddleware.cli.root import commands as root

    yield from one_command("patmiddleware", root)


def one_command(name: str, command: Any) -> Iterator[str]:
    """Give a command, then those below it."""
    import click

    below = getattr(command, "commands", {})
    if not below:
        context = click.Context(command, info_name=name)
        pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
        yield f"### `{' '.join((name, *pieces))}`\n"
        yield f"{plain((command.help or '').partition(chr(8))[0])}\n"  # what follows a backspace is an example
        options = [one for one in command.params if isinstance(one, click.Option) and not common(one)]
        if options:
            yield "| option | |\n| --- | --- |"
            yield from (f"| {spelled(one, context)} | {cell(plain(one.help or ''))} |" for one in options)
            yield ""
    for word in sorted(below):
        yield from one_command(f"{name} {word}", below[word])


def common(option: Any) -> bool:
    """Whether every command has the option."""
    return option.name in ("config", "json", "help", "version")


def spelled(option: Any, context: Any) -> str:
    """Write an option with what it takes."""
    takes = "" if option.is_flag else f" {option.make_metavar(context)}"
    return cell(" / ".join(f"`{word}{takes}`" for word in (*option.opts, *option.secondary_opts))) + (
        " (needed)" if option.required else ""
    )


def cell(text: str) -> str:
    """Write a text so that it fits into a table."""
    return text.replace("|", "·")


def plain(text: str) -> str:
    """Write a docstring as one line of Markdown."""
    text = re.sub(r":\w+:`~?(?:patmiddleware\.)?(?:\w+\.)*(\w+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


def coded(names: Iterable[str]) -> str:
    """Write names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names) or "–"


REGIONS: Mapping[str, Callable[[], Iterator[str]]] = {
    function.__name__: function for function in (settings, ways, problems, refusals, environ, removed, commands)
}


def filled(page: str) -> str:
    """Give a page with its generated parts as the code has them now."""
    return _REGION.sub(lambda found: f"{found[1]}\n{chr(10).join(REGIONS[found[2]]()).rstrip()}\n\n{found[3]}", page)


def main() -> None:
    """Bring the pages up to date, and name those that were not."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text("utf-8")
        if (new := filled(text)) != text:
            page.write_text(new, "utf-8")
            print(page.name, file=sys.stderr)


if __name__ == "__main__":
    main()
