"""How each host serves: gunicorn -c gunicorn.conf.py patmiddleware.wsgi."""

import os

bind = os.environ.get("LISTEN", "0.0.0.0:8000")  # behind a firewall that lets the nginx hosts in
worker_class = "gthread"
workers = 2  # as many as the host has processors
threads = 8
keepalive = 30  # longer than nginx keeps a connection
graceful_timeout = 30
control_socket_disable = True
