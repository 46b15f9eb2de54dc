"""A server of the S3 API on loopback: moto's, a process of its own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from demo.programs import free_port
from leaderboard.submissions.object_store import client_of
from leaderboard.upload_settings import Bucket

NAME = "uploads"


@contextlib.contextmanager
def running() -> Iterator[Bucket]:
    """A store with one empty bucket, until the block ends. Parts may be small."""
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        env=os.environ | {"S3_UPLOAD_PART_MIN_SIZE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/moto-api/", process)
        bucket = Bucket(f"http://127.0.0.1:{port}", NAME, "us-east-1", "key", "secret")
        client_of(bucket).create_bucket(Bucket=NAME)
        yield bucket
    finally:
        process.kill()
        process.wait()


def keys(bucket: Bucket) -> list[str]:
    """Names of all objects."""
    listing = client_of(bucket).list_objects_v2(Bucket=NAME)
    return [found["Key"] for found in listing.get("Contents", [])]


def begun(bucket: Bucket) -> int:
    """Number of multipart uploads that are neither complete nor aborted."""
    return len(client_of(bucket).list_multipart_uploads(Bucket=NAME).get("Uploads", []))


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        with contextlib.suppress(URLError, OSError), urlopen(address):
            return
        assert process.poll() is None, "moto has ended"
        time.sleep(0.1)
    raise AssertionError("moto does not answer")
