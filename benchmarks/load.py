"""Ask a server on the loopback interface for the same thing over and over.

``python -m benchmarks.load PORT AUTHORIZATION CONNECTIONS SECONDS``
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from time import perf_counter

from .material import PATH


def load(port: int, authorization: str, connections: int, seconds: float) -> float:
    """Keep so many connections busy, one request at a time on each, and give the answers a second.

    Raises:
        SystemExit: for an answer that is not 200, or longer than the first one.
    """
    request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n\r\n".encode()
    length = _length(port, request)
    answers, due = 0, {}
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port), 10.0)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, connection)
            due[connection] = length
            connection.sendall(request)
        began = perf_counter()
        while perf_counter() < began + seconds:
            for key, _ in selector.select(1.0):
                connection = key.data
                data = connection.recv(65_536)
                if not data or (due[connection] == length and not data.startswith(b"HTTP/1.1 200 ")):
                    sys.exit(f"the server answered {data[:64]!r}")
                due[connection] -= len(data)
                if due[connection] < 0:
                    sys.exit("an answer is longer than the first one")
                if due[connection] == 0:
                    answers += 1
                    due[connection] = length
                    connection.sendall(request)
        taken = perf_counter() - began
    for connection in due:
        connection.close()
    return answers / taken


def _length(port: int, request: bytes) -> int:
    """Give the length of a whole answer, head and body."""
    with socket.create_connection(("127.0.0.1", port), 10.0) as connection:
        connection.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65_536)
        head = data.partition(b"\r\n\r\n")[0]
        sizes = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not head.startswith(b"HTTP/1.1 200 ") or not sizes:
            sys.exit(f"the server answered {head[:64]!r}")
        return len(head) + 4 + int(sizes[0])


if __name__ == "__main__":
    port, authorization, connections, seconds = sys.argv[1:]
    print(json.dumps({"rate": load(int(port), authorization, int(connections), float(seconds))}))
