"""The stand-in, ready to be named in a settings file: ``[app] import = "patmiddleware.demo.jira:application"``."""

from __future__ import annotations

from .standin import JiraStandIn

application = JiraStandIn(gate=True)
