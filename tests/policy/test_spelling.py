"""One form for judging, where a server takes several spellings of one resource."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.policy.patterns import Pattern, parse, split
from patmiddleware.policy.spelling import Spelling

TEMPLATES = [
    "/rest/api/2/issue/{issue}",
    "/rest/api/2/issue/{issue}/comment/{id}",
    "/rest/api/2/issue/picker",
    "/rest/api/2/project/{project}",
    "/rest/api/2/project/{project}/of/{issue}",
    "/rest/agile/1.0/board/{id}",
]
VERSIONS = {"/rest/api": ("2", "latest", "2.0"), "/rest/agile": ("1.0", "latest")}
ENDINGS = (".json", ".xml")


def spelling(mount: str = "") -> Spelling:
    return Spelling(
        mount=tuple(split(mount or "/")),
        versions={tuple(split(module)): known for module, known in VERSIONS.items()},
        endings={("rest",): ENDINGS},
        templates=[split(template) for template in TEMPLATES],
    )


PLAIN, MOUNTED = spelling(), spelling("/apps/jira")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # nothing to do
        ("/", "/"),
        ("/rest", "/rest"),
        ("/rest/api", "/rest/api"),
        ("/rest/api/2", "/rest/api/2"),
        ("/rest/api/2/issue/ABC-1", "/rest/api/2/issue/ABC-1"),
        ("/browse/abc-1.json", "/browse/abc-1.json"),
        # a trailing slash says nothing
        ("/rest/api/2/issue/ABC-1/", "/rest/api/2/issue/ABC-1"),
        # versions
        ("/rest/api/latest", "/rest/api/2"),
        ("/rest/api/latest/issue/ABC-1", "/rest/api/2/issue/ABC-1"),
        ("/rest/api/2.0/issue", "/rest/api/2/issue"),
        ("/rest/agile/latest/board/1", "/rest/agile/1.0/board/1"),
        ("/rest/agile/2/board/1", "/rest/agile/2/board/1"),
        ("/rest/api/LATEST/issue", "/rest/api/LATEST/issue"),
        ("/rest/api/3/issue", "/rest/api/3/issue"),
        ("/rest/other/latest/x", "/rest/other/latest/x"),
        ("/api/latest/x", "/api/latest/x"),
        ("/rest/api/2/latest", "/rest/api/2/latest"),
        # endings, of the last segment alone, and once
        ("/rest/api/2/x.json", "/rest/api/2/x"),
        ("/rest/api/2/x.xml", "/rest/api/2/x"),
        ("/rest/api/2/x.json/", "/rest/api/2/x"),
        ("/rest/api/2/x.json.xml", "/rest/api/2/x.json"),
        ("/rest/api/2/x.JSON", "/rest/api/2/x.JSON"),
        ("/rest/api/2/x.html", "/rest/api/2/x.html"),
        ("/rest/api/2/x.json/y", "/rest/api/2/x.json/y"),
        ("/rest/api/2/.json", "/rest/api/2/.json"),
        ("/rest.json", "/rest.json"),
        ("/rest/api.json", "/rest/api"),
        ("/rest/api/latest.json", "/rest/api/2"),
        # keys, where one may stand
        ("/rest/api/2/issue/abc-1", "/rest/api/2/issue/ABC-1"),
        ("/rest/api/2/issue/aBc_9-12/comment/x-1", "/rest/api/2/issue/ABC_9-12/comment/x-1"),
        ("/rest/api/2/issue/10000", "/rest/api/2/issue/10000"),
        ("/rest/api/2/issue/picker", "/rest/api/2/issue/picker"),
        ("/rest/api/2/issue/abc", "/rest/api/2/issue/abc"),
        ("/rest/api/2/issue/abc-x", "/rest/api/2/issue/abc-x"),
        ("/rest/api/2/issue/\u00e4bc-1", "/rest/api/2/issue/\u00e4bc-1"),
        ("/rest/api/2/issue/abc-\u0661", "/rest/api/2/issue/abc-\u0661"),
        ("/rest/api/2/project/abc", "/rest/api/2/project/ABC"),
        ("/rest/api/2/project/9bc", "/rest/api/2/project/9bc"),
        ("/rest/api/2/project/abc/of/def-1", "/rest/api/2/project/ABC/of/DEF-1"),
        ("/rest/api/2/other/abc-1", "/rest/api/2/other/abc-1"),
        ("/rest/agile/1.0/board/abc-1", "/rest/agile/1.0/board/abc-1"),
        # all at once
        ("/rest/api/latest/project/abc/of/def-1.json", "/rest/api/2/project/ABC/of/DEF-1"),
    ],
)
def test_path_is_mapped(path: str, expected: str) -> None:
    """Versions, endings and keys are mapped where they are known, and nowhere else."""
    assert PLAIN.path(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/apps/jira/rest/api/latest/issue/abc-1.json", "/apps/jira/rest/api/2/issue/ABC-1"),
        ("/apps/jira", "/apps/jira"),
        ("/apps/jira/", "/apps/jira"),
        ("/apps", "/apps"),
        ("/rest/api/latest/issue/abc-1", "/rest/api/latest/issue/abc-1"),
        ("/apps/Jira/rest/api/latest", "/apps/Jira/rest/api/latest"),
        ("/apps/other/rest/api/latest", "/apps/other/rest/api/latest"),
        ("/apps/jira2/rest/api/latest", "/apps/jira2/rest/api/latest"),
    ],
)
def test_only_what_is_below_the_mount_is_mapped(path: str, expected: str) -> None:
    """A preset that is mounted says nothing about other paths."""
    assert MOUNTED.path(path) == expected


def forms(pattern: str, of: Spelling = PLAIN, refuses: bool = True) -> set[str]:
    """Give what a pattern is mapped to, without itself."""
    return {str(form) for form in of.patterns(parse(pattern), refuses)} - {str(parse(pattern))}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/**", set()),
        ("/rest/**", set()),
        ("/rest/api/**", set()),
        ("/rest/api/2/issue/ABC-1", set()),
        ("/rest/api/2/{x}", set()),
        ("/rest/api/2/*", set()),
        ("/rest/api/2/issue/{project:key}-{n:int}/**", set()),
        ("/browse/abc-1.json", set()),
        ("/rest/api/latest/x", {"/rest/api/2/x"}),
        ("/rest/api/latest/**", {"/rest/api/2/**"}),
        ("/rest/api/{v:3|latest}/x", {"/rest/api/2/x"}),
        ("/rest/api/{v:2|latest}/x", set()),
        ("/rest/api/2/x.json", {"/rest/api/2/x"}),
        ("/rest/api/2/{x}.json", {"/rest/api/2/{x}"}),
        ("/rest/api/2/*.xml", {"/rest/api/2/*"}),
        ("/rest/api/2/{x:a.json|b.xml|c}", {"/rest/api/2/{x:a}", "/rest/api/2/{x:b}"}),
        ("/rest/api/2/{x:a|b}{y:.json|.xml|c}", {"/rest/api/2/{x:a|b}"}),
        ("/rest/api/2/x.json/**", {"/rest/api/2/x"}),
        ("/rest/api/2/.json", set()),
        ("/rest/api/2/issue/abc-1", {"/rest/api/2/issue/ABC-1"}),
        ("/rest/api/2/issue/abc-{n:int}/**", {"/rest/api/2/issue/ABC-{n:int}/**"}),
        ("/rest/api/2/project/{p:abc|DEF}", {"/rest/api/2/project/{p:ABC|DEF}"}),
        ("/rest/api/2/project/a*/of/b*", {f"/rest/api/2/project/{a}*/of/{b}*" for a, b in ("aB", "Ab", "AB")}),
        ("/rest/api/latest.json", {"/rest/api/latest", "/rest/api/2"}),
    ],
)
@pytest.mark.parametrize("refuses", [True, False])
def test_pattern_is_mapped(pattern: str, expected: set[str], refuses: bool) -> None:
    """A pattern that spells a version, an ending or a key out is mapped as paths are, for every effect."""
    found = forms(pattern, refuses=refuses)

    assert {form for form in found if form in expected} == expected
    assert expected or not found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/rest/api/l*/x", {"/rest/api/2/x"}),
        ("/rest/api/{v}est/x", {"/rest/api/2/x"}),
        ("/rest/api/2/*on", {"/rest/api/2/*"}),
        ("/rest/api/2/{a}.{b}", {"/rest/api/2/{a}", "/rest/api/2/{a}."}),
        ("/rest/api/2/x{y}", {"/rest/api/2/x"}),
        ("/rest/api/2/x{y}/**", {"/rest/api/2/x"}),
        ("/rest/api/2/x.j*n", {"/rest/api/2/x", "/rest/api/2/x.j*"}),
    ],
)
def test_what_refuses_is_mapped_for_whatever_it_matches(pattern: str, expected: set[str]) -> None:
    """A deny holds for every spelling of what its wildcards match; an allow opens nothing for their sake."""
    assert forms(pattern) == expected
    assert forms(pattern, refuses=False) == set()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/apps/jira/rest/api/latest/x", {"/apps/jira/rest/api/2/x"}),
        ("/apps/*/rest/api/latest/x", {"/apps/jira/rest/api/latest/x", "/apps/jira/rest/api/2/x"}),
        ("/{a}/{b}/rest/api/latest/**", {"/apps/jira/rest/api/latest/**", "/apps/jira/rest/api/2/**"}),
        ("/apps/other/rest/api/latest/x", set()),
        ("/rest/api/latest/x", set()),
        ("/apps/**", set()),
        ("/apps/jira/**", set()),
        ("/apps", set()),
    ],
)
def test_pattern_is_mapped_below_the_mount(pattern: str, expected: set[str]) -> None:
    """What a pattern says below the mount is mapped; what it says elsewhere stays as it is."""
    assert forms(pattern, MOUNTED) == expected


def test_wildcard_over_modules_is_mapped_for_each() -> None:
    """A pattern over several modules is mapped to the version that each of them is judged by."""
    assert forms("/rest/*/latest/x") == {"/rest/api/2/x", "/rest/agile/1.0/x"}


WORDS = ["rest", "api", "agile", "2", "latest", "2.0", "1.0", "issue", "project", "of", "comment", "picker"]
NAMES = ["abc", "ABC", "abc-1", "Abc-1", "x.json", "abc-1.json", "picker.xml", "json", ".json", "a.b.xml", "son"]
WILD = [
    "*",
    "{x}",
    "l*",
    "*t",
    "2*",
    "*on",
    "*json",
    "*.json",
    "{x}.json",
    "{x}.{y}",
    "a*n",
    "{x}{y}",
    "*{x}l",
    "x{x}",
    "{x:2|latest}",
    "{x:3|latest}",
    "{x:latest|2.0}",
    "abc-{x:int}",
    "abc-*",
    "a*",
    "{x:abc-1|picker}",
    "{x:abc.json|abc-1.xml}",
    "{x:key}-{y:int}",
    "{x:key}",
    "{x}{y:son|json}",
]
STARTS = [["rest", "api", "2"], ["rest", "api", "latest"], ["rest", "agile", "latest"], ["rest"], []]


def paths(words: list[str], most: int = 4) -> st.SearchStrategy[str]:
    rest = st.lists(st.sampled_from(words), max_size=most)
    return st.builds(lambda start, rest: "/" + "/".join([*start, *rest]), st.sampled_from(STARTS), rest)


def _number(pattern: str) -> str:
    """Give every capture a name of its own."""
    parts = pattern.split("/")
    return "/".join(part.replace("{x", f"{{x{at}").replace("{y", f"{{y{at}") for at, part in enumerate(parts))


PATHS = paths([*WORDS, *NAMES])
ENDS = st.sampled_from(["", "/**"])


def _pattern(path: str, end: str) -> Pattern:
    return parse((_number(path).rstrip("/") + end) or "/")


PATTERNS = st.builds(_pattern, paths([*WORDS, *NAMES, *WILD]), ENDS)


@st.composite
def patterns_and_paths(draw: st.DrawFn) -> tuple[Pattern, str]:
    """Give a path, and a pattern that was made of it by putting wildcards in."""
    path = draw(PATHS)
    parts = [draw(st.sampled_from([part, *_wild(part)])) for part in split(path)]
    return _pattern("/" + "/".join(parts), draw(ENDS)), path


def _wild(part: str) -> list[str]:
    return [wild for wild in WILD if parse(f"/{wild}").match([part]) is not None]


DRAWN = patterns_and_paths() | st.tuples(PATTERNS, PATHS)


def matches(patterns: tuple[Pattern, ...], path: str) -> bool:
    return any(pattern.match(split(path)) is not None for pattern in patterns)


@given(DRAWN, st.sampled_from(["", "/apps/jira"]))
def test_what_refuses_a_path_refuses_it_as_it_is_judged(drawn: tuple[Pattern, str], mount: str) -> None:
    """Whatever path a deny matches as it came, it matches in the form that is judged: no spelling slips through."""
    pattern, path = drawn
    of = spelling(mount)
    mounted = parse(mount + str(pattern))

    if matches((mounted,), mount + path):
        assert matches(of.patterns(mounted), of.path(mount + path))


def respelled(path: str) -> Iterator[str]:
    """Give every spelling of a path that is in the form that is judged."""
    segments = split(path)
    choices = [_other(segments, at) for at in range(len(segments))]
    for parts in product(*choices):
        for ending in ("", *ENDINGS):
            other = "/" + "/".join(parts) + ending
            if PLAIN.path(other) == path:
                yield other


def _other(segments: list[str], at: int) -> set[str]:
    text = segments[at]
    module = "/" + "/".join(segments[:at])
    known = VERSIONS.get(module, ())
    versions = known if known and text == known[0] else ()
    return {text, text.lower(), text.capitalize(), *versions}


@given(DRAWN | st.tuples(DRAWN, PATHS).map(lambda drawn: (drawn[0][0], drawn[1])), st.booleans())
def test_mapping_opens_only_other_spellings(drawn: tuple[Pattern, str], refuses: bool) -> None:
    """What a mapped pattern matches, the pattern as written matches in one of its spellings."""
    pattern, path = drawn
    judged = PLAIN.path(path)

    if matches(PLAIN.patterns(pattern, refuses), judged):
        assert any(matches((pattern,), other) for other in respelled(judged))


@given(PATHS)
def test_what_was_mapped_stays(path: str) -> None:
    """The form that is judged is its own form, where one ending was all there was."""
    judged = PLAIN.path(path)

    assert judged.endswith(ENDINGS) or PLAIN.path(judged) == judged


@given(PATHS)
def test_every_spelling_is_judged_alike(path: str) -> None:
    """All spellings of a resource have one form."""
    assert {PLAIN.path(other) for other in respelled(PLAIN.path(path))} <= {PLAIN.path(path)}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/rest/x/Delete.jspa", "/secure/Delete.jspa"),
        ("/rest/api/latest/issue/abc-1.jspa", "/secure/abc-1.jspa"),
        ("/Delete!default.jspa/", "/secure/Delete!default.jspa"),
        ("/secure/admin/Users.jspa", "/secure/admin/Users.jspa"),
        ("/s/x/_/Users.jspa", "/s/x/_/Users.jspa"),
        ("/rest/x.jspa/y", "/rest/x.jspa/y"),
        ("/", "/"),
    ],
)
def test_a_page_is_found_by_its_end(path: str, expected: str) -> None:
    """What stands before it does not matter, but for the place where it is judged."""
    found = Spelling(mount=(), versions={}, endings={}, templates=(), pages={".jspa": [("secure",), ("s",)]}).path(path)

    assert (found, PLAIN.path("/x/Delete.jspa")) == (expected, "/x/Delete.jspa")
