"""A small Jira Server in memory, to try a token gate on without a Jira.

It answers what scripts and connectors commonly ask of ``/rest/api/2``, in Jira's own shapes. It believes
``REMOTE_USER``, checks no password and keeps nothing: something has to stand in front of it.
"""

from .app import JiraStandIn
from .seed import seeded
from .state import JiraState

__all__ = ["JiraStandIn", "JiraState", "seeded"]
