"""A WSGI application that sends requests on to an upstream, such as Jira, as somebody whom the upstream knows."""
