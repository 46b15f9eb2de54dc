"""A hub on loopback: as much of the API of Hugging Face's as its client needs to fetch a model.

``python -m demo.hub --port N demo-org/demo-honest=FOLDER …`` serves folders as repositories, each
with one commit on ``main``. Large files are served as the real one does: by a redirect to another
path, with the SHA-256 in their listing; small ones directly, by their name in Git.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = ".safetensors"
_INFO = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?")
_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_PAGE = re.compile(r"/([^/]+/[^/]+)/tree/([^/]+)/?")
_STORED = re.compile(r"/stored/([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class File:
    """File of a commit."""

    name: str
    data: bytes

    @property
    def is_large(self) -> bool:
        """True where Git holds a pointer to it only."""
        return self.name.endswith(LARGE)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def oid(self) -> str:
        """Its name in Git."""
        head = b"blob %d\0" % len(self.data)
        return hashlib.sha1(head + self.data, usedforsecurity=False).hexdigest()

    def listed(self) -> dict[str, Any]:
        """Return its entry in a model's listing."""
        size = len(self.data)
        entry: dict[str, Any] = {
            "rfilename": self.name,
            "size": size,
            "blobId": self.oid,
        }
        if self.is_large:
            entry["lfs"] = {
                "sha256": self.sha256,
                "size": size,
                "pointerSize": 134,
            }
        return entry

    def in_tree(self) -> dict[str, Any]:
        """Return its entry in a tree."""
        size = len(self.data)
        entry: dict[str, Any] = {
            "type": "file",
            "path": self.name,
            "size": size,
            "oid": self.oid,
        }
        if self.is_large:
            entry["lfs"] = {
                "oid": self.sha256,
                "size": size,
                "pointerSize": 134,
            }
        return entry


@dataclass
class Repository:
    """Commits of a repository, and the branches and tags that name them."""

    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(
        self,
        files: Mapping[str, bytes],
        *,
        ref: str = "main",
    ) -> str:
        """Add a commit and let a branch or tag name it. Return its id."""
        made = {}
        for name, data in files.items():
            made[name] = File(name, data)
        named = sorted((file.name, file.oid) for file in made.values())
        facts = json.dumps([*named, len(self.commits)])
        digest = hashlib.sha1(facts.encode(), usedforsecurity=False)
        commit = digest.hexdigest()
        self.commits[commit] = made
        self.refs[ref] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """Return the commit of a revision."""
        return revision if revision in self.commits else self.refs.get(revision)


def listing(repo: str, commit: str, files: Mapping[str, File]) -> str:
    """Return the files of a commit for people, as text."""
    text = f"{repo} at commit {commit}\n\n"
    for file in files.values():
        text += f"{len(file.data):>10}  {file.name}\n"
    return text


class Server(ThreadingHTTPServer):
    """HTTP server of a hub's repositories. ``token`` opens those that are private or gated."""

    daemon_threads = True

    def __init__(
        self,
        port: int = 0,
        *,
        handler: "type[Handler] | None" = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), handler or Handler)
        self.repositories: dict[str, Repository] = {}
        self.token = "hf_demo"  # noqa: S105 - opens what this program serves

    @property
    def address(self) -> str:
        """Its address, as HF_ENDPOINT names it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stored(self, sha256: str) -> File | None:
        """Return the large file of this digest."""
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for file in files.values():
                    if file.is_large and file.sha256 == sha256:
                        return file
        return None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Answer as for GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer from the listing, a tree, or a file."""
        path = unquote(urlsplit(self.path).path)
        if match := _STORED.fullmatch(path):
            file = self.server.stored(match[1])
            self.send_file(file) if file else self.refuse(404, "EntryNotFound")
        elif match := _TREE.fullmatch(path):
            self._tree(match[1], match[2])
        elif match := _PAGE.fullmatch(path):
            if found := self._commit(match[1], match[2]):
                self.send_text(listing(match[1], *found), "text/plain; charset=utf-8")
        elif match := _INFO.fullmatch(path):
            if found := self._commit(match[1], match[2] or "main"):
                self.send_json(self.info(match[1], *found))
        elif match := _RESOLVE.fullmatch(path):
            self._resolve(match[1], match[2], match[3])
        else:
            self.refuse(404, "RepoNotFound")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
        """Log nothing."""

    def info(
        self,
        repo: str,
        commit: str,
        files: Mapping[str, File],
    ) -> dict[str, Any]:
        """Return the facts of a model."""
        return {
            "_id": commit[:24],
            "id": repo,
            "modelId": repo,
            "sha": commit,
            "private": False,
            "gated": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "cardData": {"license": "mit"},
            "siblings": [file.listed() for file in files.values()],
        }

    def _tree(self, repo: str, revision: str) -> None:
        if found := self._commit(repo, revision):
            _, files = found
            self.send_json([file.in_tree() for file in files.values()])

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        found = self._commit(repo, revision, files=True)
        if found is None:
            return
        commit, files = found
        file = files.get(name)
        if file is None:
            self.refuse(404, "EntryNotFound")
        elif file.is_large:
            self.send_response(302)
            self.send_header("Location", self.place(file))
            self.send_header("X-Repo-Commit", commit)
            self.send_header("X-Linked-Etag", f'"{file.sha256}"')
            self.send_header("X-Linked-Size", str(len(file.data)))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_file(file, commit=commit)

    def place(self, file: File) -> str:
        """Return the address that a large file is redirected to."""
        return f"/stored/{file.sha256}"

    def _commit(
        self, repo: str, revision: str, *, files: bool = False
    ) -> tuple[str, dict[str, File]] | None:
        """Return a commit and its files; answer otherwise and return None."""
        known = self.server.repositories.get(repo)
        authorised = self.headers.get("Authorization") == f"Bearer {self.server.token}"
        if known is None or (known.private and not authorised):
            self.refuse(401, "RepoNotFound")
            return None
        if files and known.gated and not authorised:
            self.refuse(401, "GatedRepo")
            return None
        commit = known.resolve(revision)
        if commit is None:
            self.refuse(404, "RevisionNotFound")
            return None
        return commit, known.commits[commit]

    def send_json(self, value: object) -> None:
        """Send a JSON value."""
        self.send_text(json.dumps(value), "application/json")

    def send_text(self, text: str, kind: str) -> None:
        """Send a text."""
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.send_body(data)

    def send_file(self, file: File, *, commit: str = "") -> None:
        """Send a file, or the range of it that is asked for."""
        data = self.bytes_of(file)
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = 0
        end = len(data)
        if match:
            start = int(match[1])
        if match and match[2]:
            end = min(end, int(match[2]) + 1)
        if start >= len(data) and start:
            self.refuse(416, "")
            return
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{file.sha256 if file.is_large else file.oid}"')
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.send_body(data[start:end])

    def bytes_of(self, file: File) -> bytes:
        """Return the bytes of a file."""
        return file.data

    def send_body(self, data: bytes) -> None:
        """Send a body, unless only the head is asked for."""
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str) -> None:
        """Send an error as the hub spells it."""
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files directly inside a folder."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            files[path.name] = path.read_bytes()
    return files


def main(arguments: Sequence[str]) -> None:
    """Serve folders until killed."""
    parser = argparse.ArgumentParser(prog="demo.hub")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("repository", nargs="+", help="organisation/name=FOLDER")
    options = parser.parse_args(arguments)
    server = Server(options.port)
    for pair in options.repository:
        name, _, folder = pair.partition("=")
        server.repositories[name] = Repository()
        server.repositories[name].commit(read_folder(Path(folder)))
    print(server.address, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
