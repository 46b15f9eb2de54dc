"""Registering a sealed set by page, what maintainers do beside it, and the files of a released bundle."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from evaluator.contract import canonical_json
from evaluator.ledger.manifests import Block
from leaderboard.benchmarks import actions, charts, exports
from leaderboard.benchmarks.models import ItemSet, Release, SetPair
from leaderboard.benchmarks.views import MAX_UPLOAD
from leaderboard.submissions.actions import propose
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sealed import FILES, Sealed, heir, meet, register, released, seal

ADDRESS = "/sets/register/"


@pytest.fixture
def maintainer(client: Client, user: Any) -> Client:
    user.is_staff = True
    user.save()
    client.force_login(user)
    return client


def files(sealed: Sealed, **changes: bytes) -> dict[str, Any]:
    sent = {
        "manifest": json.dumps(sealed.manifest.to_dict()).encode(),
        "head": sealed.head.encode(),
    } | changes
    return {name: SimpleUploadedFile(name, data) for name, data in sent.items() if data}


def test_only_maintainers_know_the_page(client: Client, user: Any) -> None:
    sealed = seal()
    assert client.get(ADDRESS).status_code == client.post(ADDRESS, files(sealed)).status_code == 404
    client.force_login(user)
    assert client.get(ADDRESS).status_code == client.post(ADDRESS, files(sealed)).status_code == 404
    assert not ItemSet.objects.exists()


def test_a_sealed_set_is_registered_and_shown(maintainer: Client) -> None:
    sealed = seal()
    for _ in range(2):
        page = maintainer.post(ADDRESS, files(sealed), follow=True)
        assert page.redirect_chain == [("/sets/register/pair/?private=twin", 302)]
    text = page.content.decode()
    for fact in (
        sealed.manifest.root,
        sealed.manifest.digest(),
        sealed.manifest.seed_hash,
        "maintainer-1",
    ):
        assert fact in text
    assert "witness-1 on 3 Jan 2026 00:00 UTC" in text
    assert 'value="demo-0shot"' in text and 'value="numeric-1"' in text
    known = ItemSet.objects.get()
    assert (known.digest, known.head, known.facts()) == (
        sealed.manifest.root,
        sealed.head,
        sealed.manifest,
    )
    assert page.headers["Cache-Control"] == "no-store, private"


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"manifest": b""}, 422, "This field is required"),
        ({"manifest": b"{"}, 422, "The file is not JSON"),
        ({"manifest": b"\xff"}, 422, "The file is not JSON"),
        ({"manifest": b"[" * 100_000}, 422, "The file is not JSON"),
        ({"manifest": b"{}"}, 400, "What is to be registered is not valid"),
        ({"manifest": b"[1, NaN]"}, 400, "What is to be registered is not valid"),
        ({"head": b""}, 400, "The signed tree head does not verify"),
        ({"head": b"nonsense"}, 400, "The signed tree head does not verify"),
        ({"head": b"\xff"}, 422, "not a text in UTF-8"),
        ({"head": b"x" * 10_000}, 422, "too long for a signed tree head"),
        ({"head": seal("another").head.encode()}, 400, "The signed tree head does not verify"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_not_registered_says_why(
    maintainer: Client, changes: Any, status: int, says: str
) -> None:
    answer = maintainer.post(ADDRESS, files(seal(), **changes))
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert not ItemSet.objects.exists()


def test_another_set_of_the_same_name(maintainer: Client) -> None:
    maintainer.post(ADDRESS, files(seal()))
    other = seal(created="2026-02-02T00:00:00Z")
    answer = maintainer.post(ADDRESS, files(other))
    assert answer.status_code == 409
    assert (
        "Something else is registered under this name: twin. Choose another name."
        in answer.content.decode()
    )


def test_a_large_manifest_is_taken_and_too_large_a_one_is_not_read(maintainer: Client) -> None:
    padded = json.dumps(seal().manifest.to_dict()).encode() + b" " * 3_000_000
    assert maintainer.post(ADDRESS, files(seal(), manifest=padded)).status_code == 302

    class Unread(io.BytesIO):
        def read(self, *size: Any) -> bytes:
            raise AssertionError("the body was read")

    answer = maintainer.generic(
        "POST", ADDRESS, b"", CONTENT_LENGTH=MAX_UPLOAD + 1, **{"wsgi.input": Unread()}
    )
    assert answer.status_code == 413
    assert "The body is too large: a manifest has at most 20 MB." in answer.content.decode()


def test_a_manifest_within_the_form_but_over_its_own_limit(
    maintainer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.benchmarks.forms.MANIFEST_BYTES", 1000)
    assert maintainer.post(ADDRESS, files(seal())).status_code == 413


def test_a_registration_needs_its_csrf_token(user: Any) -> None:
    user.is_staff = True
    user.save()
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(ADDRESS, files(seal())).status_code == 403
    page = client.get(ADDRESS).content.decode()
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    assert client.post(ADDRESS, files(seal()) | {"csrfmiddlewaretoken": token}).status_code == 302


def test_successor_and_season_are_for_maintainers(client: Client, user: Any) -> None:
    register(seal())
    client.force_login(user)
    for name in ("successor", "season"):
        assert client.post(f"/sets/twins/release/{name}/").status_code == 404


def test_naming_a_successor(maintainer: Client) -> None:
    register(seal())
    other = seal("next")
    actions.register_set(data=other.manifest.to_dict(), sealed=True, head=other.head)
    for wanted, says in (
        ("twin", "A release needs a sealed successor: twin."),
        ("no\0such", "A release needs a sealed successor: nosuch."),
        ("next", "The successor is named."),
    ):
        page = maintainer.post("/sets/twins/release/successor/", {"successor": wanted}, follow=True)
        assert says in page.content.decode()
    assert SetPair.objects.get().successor == ItemSet.objects.get(name="next")
    assert (
        maintainer.post("/sets/nowhere/release/successor/", {"successor": "next"}).status_code
        == 404
    )


def test_a_season_is_opened_once_it_is_meant(maintainer: Client) -> None:
    register(seal())
    maintainer.post("/sets/twins/release/season/")
    assert SetPair.objects.get().season == 0
    page = maintainer.post("/sets/twins/release/season/", {"sure": "on"}, follow=True)
    assert "The next season is open." in page.content.decode()
    assert SetPair.objects.get().season == 1
    page = maintainer.post("/sets/twins/release/season/", {"sure": "on"}, follow=True)
    assert (
        "Every block of this pair&#x27;s sealed set is retired: season 2 of 2."
        in page.content.decode()
    )


@pytest.fixture
def bundle(user: Any, evaluator: FakeEvaluator, settings: Any, tmp_path: Path) -> Release:
    """A released pair, with a bundle of a few files."""
    settings.RELEASES = tmp_path / "releases"
    evaluator.register()
    user.is_staff = True
    user.save()
    sealed = seal()
    pair = register(sealed)
    heir(pair)
    meet(pair, evaluator)
    return released(propose(slug="twins", by=user), sealed, user)


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_every_file_is_served_to_be_saved(client: Client, bundle: Release) -> None:
    for name, data in FILES.items():
        answer = client.get(f"/sets/twins/release/files/{name}")
        assert (answer.status_code, body(answer)) == (200, data)
        assert (
            answer.headers["Content-Disposition"] == f'attachment; filename="{name.split("/")[-1]}"'
        )
        assert answer.headers["Content-Type"] == exports.content_type(name)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    listed = client.get("/sets/twins/release/files/contents.json")
    assert body(listed) == canonical_json(bundle.contents) + b"\n"
    assert exports.content_type("README.md") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "name",
    [
        "../secret", "..%2fsecret", "%2e%2e/secret", "completions/../../secret", "/etc/passwd", "./README.md",
        "completions//0c0c0c0c-0c0c-4c0c-8c0c-0c0c0c0c0c0c.jsonl", "completions", "unlisted", "README.md%ff", "",
    ],
)  # fmt: skip
def test_nothing_else_is_served(client: Client, bundle: Release, settings: Any, name: str) -> None:
    (settings.RELEASES / "secret").write_text("secret")
    (settings.RELEASES / bundle.folder / "unlisted").write_text("secret")
    assert client.get(f"/sets/twins/release/files/{name}").status_code == 404


@pytest.mark.parametrize("listed", ["../secret", "link", "/etc/hostname"])
def test_a_list_that_leads_out_of_the_folder_leads_nowhere(
    client: Client, bundle: Release, settings: Any, listed: str
) -> None:
    (settings.RELEASES / "secret").write_text("secret")
    (settings.RELEASES / bundle.folder / "link").symlink_to(settings.RELEASES / "secret")
    Release.objects.update(contents=bundle.contents | {listed: "0" * 64})
    assert client.get(f"/sets/twins/release/files/{listed}").status_code == 404
    assert client.get("/sets/twins/release/bundle.tar").status_code == 404


def test_the_archive_is_the_bundle(client: Client, bundle: Release) -> None:
    answer = client.get("/sets/twins/release/bundle.tar")
    data = body(answer)
    assert answer.headers["Content-Length"] == str(len(data))
    assert answer.headers["Content-Type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {one.name: one for one in archive.getmembers()}
        assert members.keys() == FILES.keys() | {"contents.json", "contents.sig"}
        assert all(
            one.isreg() and (one.mode, one.uid, one.uname) == (0o644, 0, "")
            for one in members.values()
        )
        for name, content in FILES.items():
            file = archive.extractfile(name)
            assert file is not None and file.read() == content
    assert body(client.get("/sets/twins/release/bundle.tar")) == data
    assert client.head("/sets/twins/release/bundle.tar").headers["Content-Length"] == str(len(data))


def test_a_lost_file_is_said_to_be_lost(client: Client, bundle: Release, settings: Any) -> None:
    (settings.RELEASES / bundle.folder / "items.jsonl").unlink()
    assert client.get("/sets/twins/release/files/items.jsonl").status_code == 404
    assert client.get("/sets/twins/release/bundle.tar").status_code == 404
    page = client.get("/sets/twins/release/").content.decode()
    assert ">lost</td>" in page and "files/items.jsonl" not in page


def test_a_file_that_shrinks_while_it_is_read_breaks_the_transfer(
    bundle: Release, settings: Any
) -> None:
    made = exports.archive(bundle)
    assert made is not None
    (settings.RELEASES / bundle.folder / "items.jsonl").write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        b"".join(made[1])


def test_nothing_is_served_before_the_release(client: Client, db: None) -> None:
    register(seal())
    for name in ("files/items.jsonl", "files/contents.json", "bundle.tar"):
        assert client.get(f"/sets/twins/release/{name}").status_code == 404


@pytest.mark.parametrize("drawn", [charts.strip, charts.heat], ids=["strip", "heat"])
def test_ten_thousand_blocks_stay_inside_the_picture(drawn: Callable[..., Any]) -> None:
    blocks = tuple(Block(id=k, stratum="exposed", start=3 * k, n=3) for k in range(10_000))
    parts = [charts.Part(block.id, block.stratum, block.start, block.n) for block in blocks]
    for part in (parts[0], parts[-1]):
        x, width = charts.place(part, 30_000)
        assert x >= 0 and x + width <= charts.WIDTH + 1
    options: dict[str, Any] = (
        {"season": 1}
        if drawn is charts.strip
        else {"exposures": {0: charts.BlockExposure(1.0, 2.0)}}
    )
    assert drawn(parts, **options).count("<title>") == 10_000
