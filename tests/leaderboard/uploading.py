"""Authors who upload a folder through the API, chunk by chunk."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.test import Client

from evaluator.cli.client import put_signed
from evaluator.contract.uploads import digest_of
from leaderboard.accounts.actions import issue_token, sign_up
from leaderboard.accounts.models import Membership, Organisation

CHUNK = 64 << 10
"""Bytes of the tests' chunks: their files have many."""


@dataclass
class Folder:
    """A folder as a client sees it: contents by name."""

    files: dict[str, bytes]

    def chunks(self, name: str) -> list[bytes]:
        data = self.files[name]
        return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]

    def digests(self, name: str) -> list[bytes]:
        return [hashlib.sha256(chunk).digest() for chunk in self.chunks(name)]

    def declared(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "size": len(data), "digest": digest_of(self.digests(name))}
            for name, data in self.files.items()
        ]


@dataclass
class Author:
    """A member of an organisation with a token, on some machine."""

    user: Any
    client: Client
    token: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.client.generic(method, f"/api/v1/uploads{path}", raw, kind, headers=headers)

    def begin(self, folder: Folder) -> dict[str, Any]:
        answer = self.ask("POST", "", {"files": folder.declared()})
        assert answer.status_code == 201, answer.content
        begun: dict[str, Any] = answer.json()
        return begun

    def send(self, folder: Folder, upload: dict[str, Any], most: int = 1 << 30) -> int:
        """Send up to ``most`` of the missing chunks. Gives the number sent."""
        sent = 0
        for facts in upload["files"]:
            path = f"/{upload['id']}/files/{facts['name']}"
            if not facts["listed"]:
                data = b"".join(folder.digests(facts["name"]))
                assert self.ask("PUT", f"{path}/list", data).status_code == 204
            for first, last in facts["missing"]:
                for number in range(first, last + 1):
                    if sent == most:
                        return sent
                    self.send_chunk(path, number, folder.chunks(facts["name"])[number])
                    sent += 1
        return sent

    def send_chunk(self, path: str, number: int, data: bytes) -> None:
        """Send a chunk to the site, or where the site says that it goes to an object store."""
        answer = self.ask("PUT", f"{path}/chunks/{number}", data)
        if answer.status_code == 409 and answer.json()["code"] == "upload_direct":
            signed = self.ask("POST", f"{path}/addresses", {"numbers": [number]})
            assert signed.status_code == 200, signed.content
            put_signed(signed.json()[0], data)
        else:
            assert answer.status_code == 204, answer.content

    def upload(self, folder: Folder) -> str:
        begun = self.begin(folder)
        self.send(folder, begun)
        answer = self.ask("POST", f"/{begun['id']}/complete")
        assert answer.status_code == 200, answer.content
        assert answer.json()["state"] == "complete"
        return str(begun["id"])


def author_of(user: Any) -> Author:
    return Author(user, Client(), issue_token(user=user, name=uuid.uuid4().hex[:8]))


def colleague() -> Author:
    """Another member of the author's organisation."""
    other = sign_up(username="charles", password=None, organisation="Engines")
    Membership.objects.filter(user=other).delete()
    Membership.objects.create(user=other, organisation=Organisation.objects.get(name="Analytical"))
    return author_of(other)


def stranger() -> Author:
    return author_of(sign_up(username="eve", password=None, organisation="Elsewhere"))


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def stored(place: Path, what: str) -> list[str]:
    return sorted(path.name for path in place.rglob("*") if path.parent.name == what)
