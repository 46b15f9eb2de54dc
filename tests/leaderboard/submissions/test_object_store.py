"""Uploads in an object store: sent by signed addresses, hashed by the store, fetched by a redirect."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone

from demo.hub import read_folder
from demo.programs import free_port
from evaluator.cli import uploads as client_module
from evaluator.cli.client import Site as Program
from evaluator.cli.client import put_signed
from evaluator.contract import JobSpec, UploadModel
from evaluator.contract import uploads as contract
from evaluator.contract.uploads import UploadedFile, digest_of
from evaluator.errors import Code, EvaluatorError
from evaluator.intake import site as intake
from evaluator.intake.fetch import fetch_from_site
from evaluator.intake.store import Store
from leaderboard.errors import Refusal
from leaderboard.submissions import actions, dispatch, object_store, upload_store
from leaderboard.submissions.actions import uploads
from leaderboard.submissions.api import uploads as api
from leaderboard.submissions.models import Outbox, Upload
from leaderboard.upload_settings import Bucket, bucket
from tests.adapters import SMALL, adapter
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.uploading import CHUNK, Author, Folder, author_of, code_of, stranger
from tests.servers import s3


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with s3.running() as made:
        yield made


@pytest.fixture(autouse=True)
def small_chunks(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contract, upload_store, object_store, client_module, api, intake):
        monkeypatch.setattr(module, "CHUNK", CHUNK)
    settings.UPLOADS = tmp_path / "uploads"


@pytest.fixture
def store(settings: Any, server: Bucket) -> Iterator[Bucket]:
    """The object store, empty before and after."""
    settings.UPLOADS_BUCKET = server
    yield server
    client = object_store.client_of(server)
    for name in s3.keys(server):
        client.delete_object(Bucket=server.name, Key=name)
    for one in client.list_multipart_uploads(Bucket=server.name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=server.name, Key=one["Key"], UploadId=one["UploadId"])


@pytest.fixture(params=[pytest.param("folder", marks=pytest.mark.slow), "object store"])
def either(request: pytest.FixtureRequest) -> None:
    """Each of the two places of uploads."""
    if request.param == "object store":
        request.getfixturevalue("store")


@pytest.fixture
def folder() -> Folder:
    files = read_folder(SMALL)
    return Folder({name: files[name] for name in files if name != "README.md"})


@pytest.fixture
def author(user: Any) -> Author:
    return author_of(user)


def weights(upload: dict[str, Any]) -> str:
    return f"/{upload['id']}/files/model.safetensors"


@contextmanager
def site_of(*addresses: str) -> Iterator[intake.Site]:
    """The site as an evaluator's intake sees it."""
    site = intake.Site(*addresses)
    try:
        yield site
    finally:
        site._client.close()


# --- as on a disk


@pytest.mark.usefixtures("either")
def test_a_folder_is_uploaded_inspected_and_submitted(
    author: Author, folder: Folder, make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    upload = author.upload(folder)
    facts = Upload.objects.get().inspected()
    assert facts is not None and facts.architecture == "LlamaForCausalLM"  # type: ignore[union-attr]
    run = make_run(kind="upload", checkpoint="", upload=upload)
    system = JobSpec.from_dict(Outbox.objects.get(run=run).payload).system
    assert isinstance(system, UploadModel) and system.upload == upload


@pytest.mark.usefixtures("either")
def test_an_upload_that_was_cut_goes_on(author: Author, folder: Folder) -> None:
    begun = author.begin(folder)
    assert author.send(folder, begun, most=5) == 5
    again = author.begin(folder)
    assert again["id"] == begun["id"]
    total = sum(len(folder.chunks(name)) for name in folder.files)
    assert author.send(folder, again) == total - 5
    assert author.ask("POST", f"/{begun['id']}/complete").json()["state"] == "complete"


@pytest.mark.usefixtures("either")
def test_another_organisation_sends_all_of_it(author: Author, folder: Folder) -> None:
    author.upload(folder)
    assert all(file["missing"] == [] for file in author.begin(folder)["files"])
    assert all(file["missing"] != [] for file in stranger().begin(folder)["files"])


@pytest.mark.usefixtures("either")
def test_an_incomplete_upload_is_not_complete(author: Author, folder: Folder) -> None:
    begun = author.begin(folder)
    author.send(folder, begun, most=3)
    answer = author.ask("POST", f"/{begun['id']}/complete")
    assert code_of(answer) == (409, "upload_incomplete")


@pytest.mark.usefixtures("either", "pair")
def test_an_adapter_on_an_uploaded_base_is_read(
    author: Author, folder: Folder, client: Client
) -> None:
    base = author.upload(folder)
    order = {"pair": "pair", "upload": author.upload(Folder(adapter())), "base": base}
    headers = {"Authorization": f"Bearer {author.token}"}
    told = client.post("/api/v1/preflight", json.dumps(order), "application/json", headers=headers)
    assert told.status_code == 200, told.content
    assert told.json()["adapter"]["rank"] == 4


# --- what is different


def test_chunks_do_not_pass_through_the_site(
    author: Author, folder: Folder, store: Bucket, settings: Any
) -> None:
    begun = author.begin(folder)
    assert begun["direct"] is True
    author.ask("PUT", f"{weights(begun)}/list", b"".join(folder.digests("model.safetensors")))
    data = folder.chunks("model.safetensors")[0]
    answer = author.ask("PUT", f"{weights(begun)}/chunks/0", data)
    assert code_of(answer) == (409, Refusal.UPLOAD_DIRECT)
    settings.UPLOADS_BUCKET = None
    answer = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": [0]})
    assert code_of(answer) == (409, Refusal.UPLOAD_NOT_DIRECT)


def test_an_address_is_for_one_chunk_of_one_file_with_one_hash_and_ends(
    author: Author, folder: Folder, store: Bucket
) -> None:
    begun = author.begin(folder)
    answer = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": [0]})
    assert code_of(answer) == (409, "upload_no_list")
    author.ask("PUT", f"{weights(begun)}/list", b"".join(folder.digests("model.safetensors")))
    (signed,) = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": [1]}).json()
    query = parse_qs(urlsplit(signed["url"]).query)
    assert query["partNumber"] == ["2"] and query["X-Amz-Expires"] == [str(store.seconds)]
    assert "x-amz-checksum-sha256" in query["X-Amz-SignedHeaders"][0]
    assert "content-length" in query["X-Amz-SignedHeaders"][0]
    assert "secret" not in signed["url"]
    (other,) = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": [2]}).json()
    assert other["headers"] != signed["headers"]
    count = len(folder.chunks("model.safetensors"))
    for numbers in ([count], [-1]):
        answer = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": numbers})
        assert code_of(answer) == (422, "upload_chunk_size")
    for bad in ([], list(range(101)), ["x"]):
        answer = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": bad})
        assert answer.status_code == 422
    answer = stranger().ask("POST", f"{weights(begun)}/addresses", {"numbers": [0]})
    assert code_of(answer) == (404, "not_found")


def test_other_bytes_than_declared_are_found_before_the_upload_counts(
    author: Author, folder: Folder, store: Bucket
) -> None:
    begun = author.begin(folder)
    author.send(folder, begun)
    (signed,) = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": [0]}).json()
    put_signed(signed, bytes(CHUNK))  # this store does not compare a part with its hash
    answer = author.ask("POST", f"/{begun['id']}/complete")
    assert code_of(answer) == (422, "upload_chunk_differs")
    assert Upload.objects.get().state == Upload.State.OPEN
    (file,) = [one for one in author.begin(folder)["files"] if one["name"] == "model.safetensors"]
    assert not file["listed"] and file["missing"], "nothing of it stays"
    author.upload(folder)


def test_a_part_that_is_longer_than_declared_is_missing(
    author: Author, folder: Folder, store: Bucket
) -> None:
    begun = author.begin(folder)
    author.send(folder, begun)
    (signed,) = author.ask("POST", f"{weights(begun)}/addresses", {"numbers": [0]}).json()
    put_signed(signed, folder.chunks("model.safetensors")[0] + b"more")
    (file,) = [one for one in author.begin(folder)["files"] if one["name"] == "model.safetensors"]
    assert file["missing"] == [[0, 0]]
    assert code_of(author.ask("POST", f"/{begun['id']}/complete")) == (409, "upload_incomplete")


@pytest.mark.slow
def test_a_store_that_is_away_is_our_fault_and_nothing_is_lost(
    author: Author, folder: Folder, store: Bucket, settings: Any
) -> None:
    begun = author.begin(folder)
    author.send(folder, begun, most=4)
    settings.UPLOADS_BUCKET = replace(store, endpoint=f"http://127.0.0.1:{free_port()}")
    for method, path in (("POST", "/complete"), ("GET", "")):
        answer = author.ask(method, f"/{begun['id']}{path}")
        assert code_of(answer) == (503, Refusal.UPLOAD_STORE_AWAY)
        assert int(answer.headers["Retry-After"]) > 0
    settings.UPLOADS_BUCKET = store
    author.upload(folder)


def test_abandoned_uploads_are_aborted_and_leave_nothing(
    author: Author, folder: Folder, store: Bucket
) -> None:
    author.send(folder, author.begin(folder), most=4)
    assert s3.begun(store) and s3.keys(store)
    Upload.objects.update(touched=timezone.now() - timedelta(days=90))
    assert uploads.expire() == 1
    assert (s3.begun(store), s3.keys(store)) == (0, [])


@pytest.mark.slow
def test_files_of_other_uploads_and_organisations_stay(
    author: Author, folder: Folder, store: Bucket
) -> None:
    first = author.upload(folder)
    changed = Folder(folder.files | {"generation_config.json": b"{}"})
    author.upload(changed)
    stranger().upload(folder)
    before = len(s3.keys(store))
    actions.delete_upload(user=author.user, upload=Upload.objects.get(pk=first).pk)
    assert len(s3.keys(store)) == before - 1, "the one file that no other upload has"


def test_the_command_sends_to_the_store_and_goes_on(
    live_server: Any, author: Author, folder: Folder, store: Bucket, tmp_path: Path
) -> None:
    source = tmp_path / "model"
    source.mkdir()
    for name, data in folder.files.items():
        (source / name).write_bytes(data)
    client = Program(live_server.url, author.token, sleep=lambda seconds: None)

    class Cut(Exception):
        pass

    def cutting(phase: str, done: int, total: int) -> None:
        if phase == "sending" and done > 3 * CHUNK:
            raise Cut

    with pytest.raises(Cut):
        client_module.upload_folder(client, source, cutting)
    upload = client_module.upload_folder(client, source, lambda *_: None)
    assert upload["state"] == "complete" and upload["direct"]


def test_an_evaluator_fetches_by_its_ticket_from_the_store(  # noqa: PLR0917
    live_server: Any,
    author: Author,
    folder: Folder,
    store: Bucket,
    make_run: Any,
    evaluator: FakeEvaluator,
    bell: Any,
    tmp_path: Path,
) -> None:
    evaluator.register()
    run = make_run(kind="upload", checkpoint="", upload=author.upload(folder))
    dispatch.send_job(Outbox.objects.get(run=run), "q")
    model = UploadModel.from_dict(bell[-1][1][0]["system"])
    place = Store(tmp_path / "store", 1 << 30)
    with site_of(live_server.url, store.endpoint) as site:
        found = fetch_from_site(model, place, site)
    assert {path.name: path.read_bytes() for path in found.iterdir()} == folder.files
    with site_of(live_server.url) as site, pytest.raises(EvaluatorError) as refused:
        fetch_from_site(model, Store(tmp_path / "x", 1 << 30), site)
    assert refused.value.code is Code.UPLOAD_UNREACHABLE, "a private store must be the operator's"
    client = object_store.client_of(store)
    for name in s3.keys(store):
        client.put_object(Bucket=store.name, Key=name, Body=b"other bytes" * 200_000)
    with (
        site_of(live_server.url, store.endpoint) as site,
        pytest.raises(EvaluatorError) as refused,
    ):
        fetch_from_site(model, Store(tmp_path / "y", 1 << 30), site)
    assert refused.value.code is Code.UPLOAD_DIFFERS


def test_a_file_of_more_parts_than_an_object_may_have_is_refused(
    author: Author, folder: Folder, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_PARTS", 3)
    answer = author.ask("POST", "", {"files": folder.declared()})
    assert code_of(answer) == (422, "upload_too_large")


def test_the_page_may_send_to_the_store_only_where_there_is_one(
    user: Any, client: Client, store: Bucket, settings: Any
) -> None:
    client.force_login(user)
    policy = client.get("/submit/").headers["Content-Security-Policy"]
    assert f"connect-src 'self' {store.endpoint};" in policy
    assert store.endpoint not in client.get("/").headers["Content-Security-Policy"]
    settings.UPLOADS_BUCKET = None
    assert "connect-src 'self';" in client.get("/submit/").headers["Content-Security-Policy"]


def test_what_the_store_calls_a_checksum_is_the_digest_of_a_file(store: Bucket) -> None:
    data = bytes(2 * CHUNK + 5)
    digests = [hashlib.sha256(data[at : at + CHUNK]).digest() for at in range(0, len(data), CHUNK)]
    file = UploadedFile(name="w.safetensors", size=len(data), digest=digest_of(digests))
    place = object_store.ObjectStore(store, 1)
    place.put_list(file, b"".join(digests))
    for address in place.addresses(file, range(3)):
        start = address.number * CHUNK
        signed = {"url": address.url, "headers": dict(address.headers)}
        put_signed(signed, data[start : start + CHUNK])
    place.finish(file)
    assert place.progress(file).complete and s3.begun(store) == 0


@pytest.mark.parametrize(
    "missing",
    ["HOLDFAST_S3_ENDPOINT", "HOLDFAST_S3_BUCKET", "HOLDFAST_S3_KEY", "HOLDFAST_S3_SECRET"],
)
def test_half_of_the_settings_is_refused(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "HOLDFAST_S3_ENDPOINT": "https://s3.example/",
        "HOLDFAST_S3_BUCKET": "uploads",
        "HOLDFAST_S3_KEY": "id",
        "HOLDFAST_S3_SECRET": "canary",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    made = bucket()
    assert made is not None and made.origin == "https://s3.example"
    assert "canary" not in repr(made)
    monkeypatch.delenv(missing)
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_S3_ENDPOINT"):
        bucket()
