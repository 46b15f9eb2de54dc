"""Health check of the site's container: ask ``/livez`` on gunicorn's socket, as the proxy would.

Exit code 0 if it answers 200 within five seconds.
"""

import http.client
import os
import socket
import sys

SOCKET = "/run/holdfast/site.sock"
SECONDS = 5


class UnixConnection(http.client.HTTPConnection):
    """Connection to an HTTP server on a Unix socket."""

    def __init__(self, path: str, host: str) -> None:
        super().__init__(host, timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def main(path: str) -> int:
    """Ask once. Returns the exit code."""
    host = os.environ.get("HOLDFAST_ALLOWED_HOSTS", "localhost").partition(",")[0]
    connection = UnixConnection(path, host)
    try:
        connection.request("GET", "/livez")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else SOCKET))
