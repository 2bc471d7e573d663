"""What holds for every test: how hard Hypothesis looks, what is skipped, and that continuous integration skips nothing.

A test that needs a package which is not installed is skipped, with the reason. With ``PATMIDDLEWARE_CI=1`` a skip is a
failure, unless its reason begins with ``platform:``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from services.jira import JiraServer

CI = os.environ.get("PATMIDDLEWARE_CI") == "1"

# A shared machine is slow at times: a deadline, or a limit to how long examples take, would fail for that alone.
settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300)
# Hard once; tox's environments look for what differs between them.
settings.load_profile("ci" if CI and "TOX_ENV_NAME" not in os.environ else "dev")


@pytest.fixture
def start_jira() -> Iterator[Callable[..., JiraServer]]:
    """Start a Jira stand-in over HTTP with the options of :func:`services.jira.jira`; it ends with the test."""
    from services.jira import jira

    with ExitStack() as stack:

        def start(**options: Any) -> JiraServer:
            return stack.enter_context(jira(**options))

        yield start


@pytest.fixture
def jira_server(start_jira: Callable[..., JiraServer]) -> JiraServer:
    """A Jira stand-in over HTTP, which is new and lets nobody in without a credential."""
    return start_jira()


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge a test that was skipped, or that lacks a package."""
    report = yield
    return _judged(report, call.excinfo and call.excinfo.value)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge a file of tests that was skipped, or that lacks a package."""
    report = yield
    call = getattr(report, "call", None)
    return _judged(report, call and call.excinfo and call.excinfo.value)


def _judged(report: Report, error: BaseException | None) -> Report:
    lacking = _lacking(error)
    if lacking is not None:
        report.outcome, report.longrepr = "skipped", (report.nodeid, 0, f"Skipped: {lacking}")
    if CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith("platform:"):
            report.outcome, report.longrepr = "failed", f"skipped, but PATMIDDLEWARE_CI=1 allows no skip: {reason}"
    return report


def _lacking(error: BaseException | None) -> str | None:
    """Say which package an error, or what caused it, comes from the lack of; None: it comes from something else."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("patmiddleware"):
            return str(error)
        error = error.__cause__
    return None
