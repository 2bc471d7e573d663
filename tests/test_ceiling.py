"""An owner's groups are the ceiling of their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from patmiddleware.backends import open_directory
from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.ceiling import ceiling, check_ceilings
from patmiddleware.config import Config, open_parts
from patmiddleware.errors import ConfigurationError
from patmiddleware.issuer import Issuer
from patmiddleware.middleware import PATMiddleware
from patmiddleware.model import Owner
from patmiddleware.policy import Policy
from patmiddleware.testing import TokenTestApp

POLICY = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {"includes": ["read"]}, "admin": {"includes": ["write"]}},
        "rule": [
            {"id": "read", "methods": ["GET"], "path": "/**", "scopes": ["read"]},
            {"id": "write", "methods": ["POST"], "path": "/**", "scopes": ["write"]},
            {"id": "admin", "methods": ["DELETE"], "path": "/**", "scopes": ["admin"]},
        ],
    }
)
CEILINGS = {"readers": ["read"], "devs": ["write"]}


def status(groups: set[str], scopes: set[str], method: str, ceilings: object = CEILINGS) -> int:
    """Ask with a token of these scopes, whose owner is in these groups."""
    store = MemoryStore()
    directory = StaticDirectory([Owner("alice", groups=frozenset(groups))], scopes=ceilings)  # type: ignore[arg-type]
    secret = Issuer(store, policy=POLICY).mint(owner="alice", name="ci", scopes=scopes).secret

    def app(environ: object, start_response: object) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])  # type: ignore[operator]
        return [b"ok"]

    guarded = PATMiddleware(app, store, policy=POLICY, directory=directory)
    return int(TokenTestApp(guarded, secret).request("/x", method=method, expect_errors=True).status_int)


@pytest.mark.parametrize(
    ("groups", "scopes", "method", "expected"),
    [
        ({"devs"}, {"admin"}, "POST", 200),  # an admin's token in the hands of a developer may write
        ({"devs"}, {"admin"}, "DELETE", 403),  # but no more than that
        ({"devs"}, {"read"}, "POST", 403),  # groups never add
        ({"readers"}, {"write"}, "GET", 200),
        ({"readers"}, {"write"}, "POST", 403),
        ({"readers", "devs"}, {"write"}, "POST", 200),  # several groups give what any of them gives
        ({"others"}, {"admin"}, "GET", 403),  # a group that is not mapped gives nothing
        (set(), {"admin"}, "GET", 403),
    ],
)
def test_a_token_has_no_more_than_its_owners_groups(
    groups: set[str], scopes: set[str], method: str, expected: int
) -> None:
    """Effective scopes are those of the token that the groups give, too."""
    assert status(groups, scopes, method) == expected


def test_without_a_map_there_is_no_ceiling() -> None:
    """Groups bound scopes only where the directory maps them."""
    assert status(set(), {"admin"}, "DELETE", None) == 200


def test_an_empty_map_gives_nothing() -> None:
    """A map without groups is not the same as none."""
    assert status({"devs"}, {"admin"}, "GET", {}) == 403


@pytest.mark.parametrize("scopes", [["read"], {"devs": "read"}, {"devs": 3}])
def test_a_map_that_is_none_is_refused(scopes: object) -> None:
    """One text in the place of a list would become one-letter scopes."""
    with pytest.raises(ConfigurationError, match=r"directory\.scopes"):
        check_ceilings(scopes)  # type: ignore[arg-type]


def test_ceilings_of_several_groups_add_up() -> None:
    """What any of the groups gives is in it."""
    assert ceiling(["a", "b", "c"], {"a": frozenset({"x"}), "b": frozenset({"y"})}) == {"x", "y"}


OWNERS = '[owners.alice]\ngroups = ["devs"]\n'


def test_a_directory_by_address_takes_the_map(tmp_path: Path) -> None:
    """``open_directory`` hands settings on."""
    (tmp_path / "owners.toml").write_text(OWNERS)

    directory = open_directory(f"static:{tmp_path}/owners.toml", settings={"scopes": CEILINGS})

    assert directory.find("alice") == Owner("alice", groups=frozenset({"devs"}), scopes=frozenset({"write"}))


def test_an_unknown_setting_names_the_nearest() -> None:
    """A slip in a name is told with what was meant."""
    with pytest.raises(ConfigurationError, match=r"directory\.scope: .*did you mean 'scopes'"):
        open_directory("static:owners.toml", settings={"scope": {}})


def test_the_settings_file_maps_groups_to_scopes(tmp_path: Path) -> None:
    """``[directory.scopes]`` has groups, and a scope that the policy does not know is a problem."""
    (tmp_path / "owners.toml").write_text(OWNERS)
    (tmp_path / "policy.toml").write_text('[scopes.write]\n[[rule]]\nid = "w"\npath = "/**"\nscopes = ["write"]\n')
    path = tmp_path / "patmiddleware.toml"
    path.write_text(
        '[store]\nurl = "memory:"\n[policy]\nfile = "policy.toml"\n'
        '[app]\nimport = "patmiddleware.demo.jira:application"\n'
        '[directory]\nurl = "static:owners.toml"\n[directory.scopes]\n'
        'devs = ["write"]\n"cn=ops,dc=example" = ["wirte"]\n'
    )

    parts = open_parts(Config.from_file(path))

    assert [(one.setting, one.message) for one in parts.problems] == [
        ("directory.scopes.cn=ops,dc=example", "the policy knows no scope 'wirte': did you mean 'write'?")
    ]
    assert parts.directory is not None
    assert parts.directory.find("alice") == Owner("alice", groups=frozenset({"devs"}), scopes=frozenset({"write"}))
