"""The gate as a filter of Paste: ``[filter:pat]`` with ``use = egg:patmiddleware``, in any pipeline.

.. versionadded:: 0.1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.values import CONTRADICTION
from ..errors import ConfigurationError, Problem
from ..middleware import PATMiddleware
from .embedding import Embedding
from .flat import is_setting

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def filter_app_factory(app: WSGIApplication, global_conf: Mapping[str, str] | None, **local_conf: str) -> PATMiddleware:
    """Put the gate before an application, as ``paste.filter_app_factory`` asks for it.

    Args:
        app: what comes behind it in the pipeline.
        global_conf: ``here`` is the folder of the ini file, which relative paths start at.
        local_conf: the section: flat settings, such as ``store``, ``policy``, ``accept``, ``issuer.maximum_per_owner``;
            ``config``, a settings file, which they stand over. The gate rejects, unless ``missing`` says otherwise.

    Raises:
        ConfigurationError: with all that is wrong, named as in the ini file.
    """
    problems = list(_hidden(global_conf or {}, local_conf))
    folder = Path((global_conf or {}).get("here", "")).absolute()
    try:
        gate = Embedding(app, local_conf, prefix="", folder=folder, missing="reject")
    except ConfigurationError as error:
        raise ConfigurationError((*problems, *error.problems)) from error
    if problems:
        raise ConfigurationError(problems)
    return gate.middleware


def filter_factory(
    global_conf: Mapping[str, str] | None, **local_conf: str
) -> Callable[[WSGIApplication], PATMiddleware]:
    """Give what puts the gate before an application, as ``paste.filter_factory`` asks for it.

    What is wrong in the settings is told when an application is put behind it.
    """
    return lambda app: filter_app_factory(app, global_conf, **local_conf)


def _hidden(global_conf: Mapping[str, str], local_conf: Mapping[str, str]) -> Iterator[Problem]:
    """Tell what PasteDeploy leaves out of a section without a word, since [DEFAULT] has that name: be it a policy."""
    for name in global_conf:
        if is_setting(name) and name not in local_conf:
            hint = f"rename it there; or write 'get {name} = {name}' in the section of the gate, to have it from there"
            yield Problem(CONTRADICTION, name, "stands in [DEFAULT], which hides it from the section of the gate", hint)
