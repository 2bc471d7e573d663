"""One name for each upstream."""

from __future__ import annotations

import pytest

from patmiddleware.errors import ConfigurationError
from patmiddleware.vault import normalised

NAMES = [
    ("https://jira.example.org", "https://jira.example.org"),
    ("https://jira.example.org/", "https://jira.example.org"),
    ("HTTPS://Jira.Example.ORG:443/", "https://jira.example.org"),
    ("http://jira.example.org:80", "http://jira.example.org"),
    ("http://jira.example.org:443", "http://jira.example.org:443"),
    ("https://example.org/Jira//", "https://example.org/Jira"),
    ("https://example.org:8443/jira", "https://example.org:8443/jira"),
    ("http://[2001:DB8::1]:8080/jira/", "http://[2001:db8::1]:8080/jira"),
    ("http://127.0.0.1:2990/jira", "http://127.0.0.1:2990/jira"),
]
NO_NAMES = [
    "", "jira.example.org", "//jira.example.org", "https://", "https:///jira", "ftp://jira.example.org",
    "https://alice:hunter2@jira.example.org", "https://alice@jira.example.org", "https://@jira.example.org",
    "https://jira.example.org?hunter2", "https://jira.example.org/#hunter2", "https://jira.example.org/?",
    "https://jira.example.org:port", "https://jira.example.org:99999", "https://[::1", "https://jira.example.org/\n",
]  # fmt: skip


@pytest.mark.parametrize(("upstream", "expected"), NAMES)
def test_one_name_for_all_spellings(upstream: str, expected: str) -> None:
    """Only what makes no difference is taken away, and doing so again changes nothing."""
    assert normalised(upstream) == normalised(normalised(upstream)) == expected


@pytest.mark.parametrize("upstream", NO_NAMES)
def test_what_is_no_upstream_is_refused(upstream: str) -> None:
    """And not shown: a password may stand in it."""
    with pytest.raises(ConfigurationError) as caught:
        normalised(upstream)

    assert "hunter2" not in str(caught.value)
