"""How model servers listen."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SERVER = (
    "import argparse\nfrom aiohttp import web\nfrom evaluator.hosts import serving\n"
    "parser = argparse.ArgumentParser()\nserving.add_arguments(parser)\nserving.serve(web.Application(), parser.parse_args())"
)


def test_hundreds_of_connections_may_wait_at_once(tmp_path: Path) -> None:
    """As when a run begins. The server is held, so that none of them is taken meanwhile."""
    path = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", SERVER, "--socket", str(path)]) as child:
        try:
            end = time.monotonic() + 60
            while not path.exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            time.sleep(0.5)  # it is bound before it listens
            os.kill(child.pid, signal.SIGSTOP)
            clients = []
            for _ in range(512):
                client = socket.socket(socket.AF_UNIX)
                client.setblocking(False)
                assert client.connect_ex(str(path)) == 0
                clients.append(client)
            for client in clients:
                client.close()
        finally:
            os.kill(child.pid, signal.SIGCONT)
            child.kill()
