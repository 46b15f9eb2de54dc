"""A receiver of webhooks: a program on loopback that writes down what it is sent, one JSON object a line.

``python receiver.py LOG`` prints its port. ``/ok`` takes everything, ``/fail-once`` refuses each id the first time,
``/moved`` answers with a redirect to ``/ok``, ``/slow`` sends its answer a byte a second.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOG = Path(sys.argv[1])
seen: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        line = {"path": self.path, "headers": dict(self.headers), "body": body}
        with LOG.open("a") as log:
            log.write(json.dumps(line) + "\n")
        known = self.headers["webhook-id"] in seen
        seen.add(self.headers["webhook-id"])
        if self.path == "/slow":
            for byte in b"HTTP/1.1 204 No Content\r\n\r\n":
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.1)
            return
        self.send_response(
            500
            if self.path == "/fail-once" and not known
            else 302
            if self.path == "/moved"
            else 204
        )
        self.send_header("Location", "/ok")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing: its output is the port."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_address[1], flush=True)
server.serve_forever()
