"""A small Jira Server in memory, to try a token gate on without a Jira.

It answers what scripts and connectors commonly ask of ``/rest/api/2``, in Jira's own shapes, and keeps nothing. Who
the caller is it decides as Jira does: by session, by Basic with a password, by a personal access token as Bearer, or by
OAuth 1.0a; or, where it is told to, it believes ``REMOTE_USER``: then something has to stand in front of it. What
reached it stands in its log.
"""

from .app import JiraStandIn
from .links import ApplicationLink
from .log import Log, Seen
from .manners import Manners
from .seed import seeded
from .state import JiraState

__all__ = ["ApplicationLink", "JiraStandIn", "JiraState", "Log", "Manners", "Seen", "seeded"]
