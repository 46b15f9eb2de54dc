"""Uploading a folder: cut, continued from elsewhere, wrong in every way, by two people at once, forgotten."""

import hashlib
import json
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.cli import uploads as client_module
from evaluator.cli.client import Site
from evaluator.contract import JobSpec, UploadModel
from evaluator.contract import uploads as contract
from evaluator.contract.uploads import UploadedFile, digest_of
from evaluator.errors import Code
from leaderboard.accounts.models import AuditEntry, User
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions, dispatch, upload_store
from leaderboard.submissions.actions import uploads
from leaderboard.submissions.api import uploads as api
from leaderboard.submissions.models import Outbox, Run, Submission, Upload
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.uploading import (
    CHUNK,
    Author,
    Folder,
    author_of,
    code_of,
    colleague,
    stored,
    stranger,
)

SMALL = ROOT / "demo" / "checkpoints" / "small"


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of uploads, and small chunks: files of the tests have many."""
    for module in (contract, upload_store, client_module, api):
        monkeypatch.setattr(module, "CHUNK", CHUNK)
    settings.UPLOADS = tmp_path / "uploads"
    return tmp_path / "uploads"


@pytest.fixture
def folder() -> Folder:
    files = read_folder(SMALL)
    return Folder({name: files[name] for name in files if name != "README.md"})


@pytest.fixture
def author(user: Any) -> Author:
    return author_of(user)


# --- the whole way


def test_a_folder_is_uploaded_inspected_and_submitted(
    author: Author, folder: Folder, make_run: Any, evaluator: FakeEvaluator, client: Client
) -> None:
    evaluator.register()
    upload = author.upload(folder)
    row = Upload.objects.get()
    facts = row.inspected()
    assert facts is not None
    assert (facts.architecture, facts.parameters) == ("LlamaForCausalLM", 433_824)
    run = make_run(kind="upload", checkpoint="", upload=upload)
    system = JobSpec.from_dict(Outbox.objects.get(run=run).payload).system
    assert isinstance(system, UploadModel)
    assert {file.name for file in system.files} == set(folder.files)
    assert (system.upload, system.ticket, run.tier) == (upload, "", "T0")
    client.force_login(author.user)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert upload in page and f"{len(folder.files)} files" in page


def test_the_page_and_the_api_check_an_upload(
    author: Author, folder: Folder, pair: Any, client: Client
) -> None:
    upload = author.upload(folder)
    client.force_login(author.user)
    form = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "upload", "upload": upload}
    answer = client.post("/submit/", form | {"check": "1"})
    assert answer.status_code == 200
    assert "This model can be evaluated." in answer.content.decode()
    headers = {"Authorization": f"Bearer {author.token}"}
    order = {"pair": "pair", "upload": upload}
    told = client.post("/api/v1/preflight", json.dumps(order), "application/json", headers=headers)
    assert told.status_code == 200, told.content
    assert (told.json()["upload"], told.json()["architecture"]) == (upload, "LlamaForCausalLM")
    assert not Submission.objects.exists()
    assert client.post("/submit/", form).status_code == 302


def test_the_session_of_the_page_uploads_too_and_only_with_its_token(
    user: Any, folder: Folder
) -> None:
    body = json.dumps({"files": folder.declared()})
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    answer = browser.post("/api/v1/uploads", body, "application/json")
    assert (answer.status_code, Upload.objects.count()) == (400, 0)
    browser.get("/submit/")
    token = browser.cookies["csrftoken"].value
    answer = browser.post(
        "/api/v1/uploads", body, "application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 201


# --- cut, and continued


def test_an_upload_of_a_maintainer_is_one_line_of_the_log(author: Author, folder: Folder) -> None:
    User.objects.filter(pk=author.user.pk).update(is_staff=True)
    upload = author.upload(folder)
    acts = AuditEntry.objects.order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["POST /api/v1/uploads"]
    author.ask("DELETE", f"/{upload}")
    assert acts.last() == f"DELETE /api/v1/uploads/{upload}"


def test_an_upload_that_was_cut_goes_on_from_another_machine(
    author: Author, folder: Folder, place: Path
) -> None:
    begun = author.begin(folder)
    assert author.send(folder, begun, most=5) == 5
    assert code_of(author.ask("POST", f"/{begun['id']}/complete")) == (409, "upload_incomplete")
    elsewhere = colleague()
    again = elsewhere.begin(folder)
    assert again["id"] == begun["id"], "the same files are the same upload"
    total = sum(len(folder.chunks(name)) for name in folder.files)
    assert elsewhere.send(folder, again) == total - 5
    assert elsewhere.ask("POST", f"/{begun['id']}/complete").status_code == 200
    assert stored(place, "parts") == []
    for name, data in folder.files.items():
        assert (place / str(author.user.organisation().pk) / "folders" / begun["id"] / name).read_bytes() == data  # fmt: skip


def test_a_chunk_that_was_cut_is_not_stored(
    live_server: Any, author: Author, folder: Folder
) -> None:
    begun = author.begin(folder)
    name = "model.safetensors"
    path = f"/{begun['id']}/files/{name}"
    author.ask("PUT", f"{path}/list", b"".join(folder.digests(name)))
    head = (
        f"PUT /api/v1/uploads{path}/chunks/0 HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {author.token}\r\nContent-Length: {CHUNK}\r\n"
        "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
    )
    address = urlsplit(live_server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + folder.chunks(name)[0][:1000])
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert " 400 " in answer.splitlines()[0] and '"upload_cut"' in answer
    facts = next(one for one in author.begin(folder)["files"] if one["name"] == name)
    assert facts["missing"] == [[0, len(folder.chunks(name)) - 1]]


def test_the_command_uploads_and_goes_on(
    live_server: Any, author: Author, folder: Folder, tmp_path: Path
) -> None:
    source = tmp_path / "model"
    source.mkdir()
    for name, data in folder.files.items():
        (source / name).write_bytes(data)
    (source / "README.md").write_text("not sent")
    (source / "pytorch_model.bin").write_bytes(b"not sent")
    reports: list[tuple[str, int, int]] = []
    client = Site(live_server.url, author.token, sleep=lambda seconds: None)

    class Cut(Exception):
        pass

    def cutting(phase: str, done: int, total: int) -> None:
        if phase == "sending" and done > 3 * CHUNK:
            raise Cut

    with pytest.raises(Cut):
        client_module.upload_folder(client, source, cutting)
    upload = client_module.upload_folder(client, source, lambda *one: reports.append(one))
    assert upload["state"] == "complete"
    sending = [done for phase, done, _ in reports if phase == "sending"]
    assert sending[0] > 3 * CHUNK and sending[-1] == sum(map(len, folder.files.values()))
    reports.clear()
    client_module.upload_folder(client, source, lambda *one: reports.append(one))
    assert [phase for phase, *_ in reports].count("sending") == 1, "nothing is sent again"


def test_files_of_another_upload_of_the_organisation_are_not_sent_again(
    author: Author, folder: Folder, place: Path
) -> None:
    author.upload(folder)
    changed = Folder(folder.files | {"generation_config.json": b'{"do_sample": false}'})
    begun = author.begin(changed)
    missing = {facts["name"] for facts in begun["files"] if facts["missing"]}
    assert missing == {"generation_config.json"}
    author.send(changed, begun)
    assert author.ask("POST", f"/{begun['id']}/complete").status_code == 200
    weights = list(place.rglob("folders/*/model.safetensors"))
    assert len(weights) == 2 and weights[0].samefile(weights[1])


# --- strangers


def test_a_digest_gives_a_stranger_nothing(author: Author, folder: Folder) -> None:
    upload = author.upload(folder)
    eve = stranger()
    begun = eve.begin(folder)
    assert begun["id"] != upload
    assert all(not facts["listed"] and facts["missing"] for facts in begun["files"])
    for method, path in (
        ("GET", f"/{upload}"),
        ("POST", f"/{upload}/complete"),
        ("DELETE", f"/{upload}"),
        ("PUT", f"/{upload}/files/config.json/list"),
        ("PUT", f"/{upload}/files/config.json/chunks/0"),
    ):
        assert code_of(eve.ask(method, path)) == (404, "not_found"), (method, path)
    assert upload not in eve.ask("GET", "").content.decode()
    assert Upload.objects.get(pk=upload).state == Upload.State.COMPLETE


def test_a_stranger_cannot_submit_it(
    author: Author, folder: Folder, pair: Any, ask: Any, bell: Any
) -> None:
    upload = author.upload(folder)
    with pytest.raises(SiteError) as refused:
        actions.submit(
            user=stranger().user, key="k1", ask=ask(kind="upload", checkpoint="", upload=upload)
        )
    assert refused.value.code is Refusal.UPLOAD_UNKNOWN
    assert not Submission.objects.exists()


def test_only_the_ticket_of_a_live_attempt_fetches(
    author: Author, folder: Folder, make_run: Any, evaluator: FakeEvaluator, client: Client
) -> None:
    evaluator.register()
    upload = author.upload(folder)
    run = make_run(kind="upload", checkpoint="", upload=upload)
    path = f"/api/v1/uploads/{upload}/files/config.json/chunks/0"

    def fetch(ticket: str, at: str = path) -> Any:
        return client.get(at, headers={"Authorization": f"Ticket {ticket}"})

    ticket = dispatch.ticket_of(Outbox.objects.get(run=run))
    assert fetch(ticket).content == folder.files["config.json"]
    assert fetch(ticket).headers["Cache-Control"] == "private, no-store"
    assert code_of(fetch(ticket, path.replace("chunks/0", "chunks/1"))) == (404, "not_found")
    assert code_of(fetch(ticket, path.replace("config.json", "x.json"))) == (404, "not_found")
    assert code_of(fetch(ticket + "x")) == (401, "unauthorized")
    for headers in ({}, {"Authorization": f"Bearer {author.token}"}):
        assert code_of(client.get(path, headers=headers)) == (401, "unauthorized")
    other = author.upload(Folder(folder.files | {"generation_config.json": b"{}"}))
    assert code_of(fetch(ticket, path.replace(upload, other))) == (401, "unauthorized")
    Run.objects.filter(pk=run.pk).update(token=run.token + 1)
    assert code_of(fetch(ticket)) == (401, "unauthorized"), "an attempt that was replaced"
    Run.objects.filter(pk=run.pk).update(token=run.token)
    actions.cancel(run=run.pk)
    assert code_of(fetch(ticket)) == (401, "unauthorized"), "a run that is over"


def test_the_ticket_goes_out_with_the_job_and_is_not_stored(
    author: Author, folder: Folder, make_run: Any, evaluator: FakeEvaluator, bell: Any
) -> None:
    evaluator.register()
    run = make_run(kind="upload", checkpoint="", upload=author.upload(folder))
    outbox = Outbox.objects.get(run=run)
    assert "ticket" not in outbox.payload["system"] or not outbox.payload["system"]["ticket"]
    dispatch.send_job(outbox, "evaluate.default")
    system = JobSpec.from_dict(bell[-1][1][0]).system
    assert isinstance(system, UploadModel)
    assert dispatch.attempt_of(system.ticket) == (run.pk, run.token)


# --- wrong in every way


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "../model.safetensors"}, "upload_bad_name"),
        ({"name": "a/model.safetensors"}, "upload_bad_name"),
        ({"name": "модель.safetensors"}, "upload_bad_name"),
        ({"name": "model\u202e.safetensors"}, "upload_bad_name"),
        ({"name": ".safetensors"}, "upload_bad_name"),
        ({"name": "modeling_llama.py"}, "upload_bad_name"),
        ({"name": "pytorch_model.bin"}, "upload_bad_name"),
        ({"name": "config.json"}, "upload_bad_name"),
        ({"size": 0}, "upload_empty_file"),
        ({"size": -1}, "invalid_field"),
        ({"size": 1 << 60}, "invalid_field"),
        ({"size": 300 << 30}, "upload_too_large"),
        ({"digest": "x"}, "invalid_field"),
    ],
)
def test_a_file_that_cannot_be_uploaded_is_refused(
    author: Author, folder: Folder, change: dict[str, Any], code: str
) -> None:
    declared = folder.declared()
    weights = next(file for file in declared if file["name"] == "model.safetensors")
    declared.append(weights | {"name": "extra.safetensors"} | change)
    answer = author.ask("POST", "", {"files": declared})
    assert code_of(answer) == (422, code)
    assert "модель" not in answer.content.decode()
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    ("left", "code"),
    [
        ("model.safetensors", Code.CHECKPOINT_NO_WEIGHTS),
        ("config.json", Code.CHECKPOINT_NO_CONFIG),
        ("tokenizer.json", Code.CHECKPOINT_NO_TOKENIZER),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_before_anything_is_sent(
    author: Author, folder: Folder, left: str, code: Code
) -> None:
    del folder.files[left]
    answer = author.ask("POST", "", {"files": folder.declared()})
    assert code_of(answer) == (422, code)
    assert not Upload.objects.exists()


def test_too_many_files_are_refused(author: Author, folder: Folder, settings: Any) -> None:
    one = folder.declared()[0]
    many = [one | {"name": f"{number}.safetensors"} for number in range(10_000)]
    assert code_of(author.ask("POST", "", {"files": many[:501]})) == (422, "upload_too_many_files")
    assert code_of(author.ask("POST", "", {"files": [*many, one]})) == (413, "too_large")
    assert not Upload.objects.exists()


def test_a_wrong_hash_is_refused_and_nothing_of_it_stays(author: Author, folder: Folder) -> None:
    begun = author.begin(folder)
    name = "model.safetensors"
    path = f"/{begun['id']}/files/{name}"
    digests = folder.digests(name)
    assert code_of(author.ask("PUT", f"{path}/chunks/0", folder.chunks(name)[0])) == (409, "upload_no_list")  # fmt: skip
    for wrong in (b"", b"".join(digests[:-1]), b"".join([*digests[:-1], bytes(32)])):
        assert code_of(author.ask("PUT", f"{path}/list", wrong)) == (422, "upload_list_differs")
    longer = b"".join([*digests, bytes(32)])
    assert code_of(author.ask("PUT", f"{path}/list", longer)) == (422, "upload_chunk_size")
    assert author.ask("PUT", f"{path}/list", b"".join(digests)).status_code == 204
    chunk = folder.chunks(name)[0]
    flipped = bytes([chunk[0] ^ 1]) + chunk[1:]
    assert code_of(author.ask("PUT", f"{path}/chunks/0", flipped)) == (422, "upload_chunk_differs")
    assert author.ask("PUT", f"{path}/chunks/0", chunk).status_code == 204
    assert code_of(author.ask("PUT", f"{path}/chunks/0", flipped)) == (422, "upload_chunk_differs")
    author.send(folder, author.begin(folder))
    assert author.ask("POST", f"/{begun['id']}/complete").status_code == 200


def test_more_or_less_than_declared_is_refused(author: Author, folder: Folder) -> None:
    begun = author.begin(folder)
    name = "model.safetensors"
    path = f"/{begun['id']}/files/{name}"
    chunks = folder.chunks(name)
    author.ask("PUT", f"{path}/list", b"".join(folder.digests(name)))
    wrong = [
        ("0", chunks[0] + b"x"),
        ("0", chunks[0][:-1]),
        (str(len(chunks) - 1), chunks[-1] + b"x"),
        (str(len(chunks)), b"x"),
        ("99999999999999999999", b"x"),
    ]
    for number, data in wrong:
        answer = author.ask("PUT", f"{path}/chunks/{number}", data)
        assert code_of(answer) == (422, "upload_chunk_size"), number


def test_a_false_size_of_a_known_digest_is_never_complete(author: Author, folder: Folder) -> None:
    author.upload(folder)
    declared = folder.declared()
    for file in declared:
        if file["name"] == "model.safetensors":
            file["size"] -= 1
    begun = author.ask("POST", "", {"files": declared}).json()
    facts = next(one for one in begun["files"] if one["name"] == "model.safetensors")
    assert not facts["listed"] and facts["missing"]
    assert code_of(author.ask("POST", f"/{begun['id']}/complete")) == (409, "upload_incomplete")


def test_what_is_no_model_is_refused_by_its_readers(author: Author, folder: Folder) -> None:
    folder.files["model.safetensors"] = b"\x08" + bytes(7) + b"not json" + bytes(1000)
    begun = author.begin(folder)
    author.send(folder, begun)
    answer = author.ask("POST", f"/{begun['id']}/complete")
    assert code_of(answer) == (422, "checkpoint_bad_header")
    assert Upload.objects.get().state == Upload.State.OPEN


def test_shares_of_the_disk(
    author: Author, folder: Folder, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(len(data) for data in folder.files.values())
    settings.UPLOADS_ORGANISATION_BYTES = size - 1
    answer = author.ask("POST", "", {"files": folder.declared()})
    assert code_of(answer) == (429, "upload_share_used")
    settings.UPLOADS_ORGANISATION_BYTES = size + 100
    author.upload(folder)
    other = Folder(folder.files | {"generation_config.json": b"{}"})
    assert author.begin(other), "equal files count once"
    third = Folder(folder.files | {"model.safetensors": b"x" * 1000})
    assert code_of(author.ask("POST", "", {"files": third.declared()}))[1] == "upload_share_used"
    settings.UPLOADS_ORGANISATION_BYTES = 1 << 40
    settings.UPLOADS_BYTES = size + 200
    answer = author.ask("POST", "", {"files": third.declared()})
    assert code_of(answer) == (503, "upload_no_space")
    assert answer.headers["Retry-After"]
    settings.UPLOADS_BYTES = 1 << 40
    monkeypatch.setattr(uploads, "free_bytes", lambda root: 10)
    assert code_of(author.ask("POST", "", {"files": third.declared()})) == (503, "upload_no_space")


def test_a_full_disk_is_said_and_the_upload_goes_on_later(
    author: Author, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = author.begin(folder)
    real = upload_store._write_at

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    author.ask("PUT", f"/{begun['id']}/files/config.json/list", b"".join(folder.digests("config.json")))  # fmt: skip
    monkeypatch.setattr(upload_store, "_write_at", full)
    answer = author.ask("PUT", f"/{begun['id']}/files/config.json/chunks/0", folder.files["config.json"])  # fmt: skip
    assert code_of(answer) == (503, "upload_no_space")
    monkeypatch.setattr(upload_store, "_write_at", real)
    author.upload(folder)


# --- two at once


@pytest.mark.django_db(transaction=True)
def test_two_people_upload_the_same_in_the_same_second(author: Author, folder: Folder) -> None:
    authors = [author, colleague()]
    found: list[Any] = []
    gate = threading.Barrier(2)

    def work(one: Author) -> None:
        try:
            gate.wait()
            found.append(one.upload(folder))
        except BaseException as failure:  # noqa: BLE001 - shown by the assertion
            found.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(one,)) for one in authors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[0]] * 2 == found
    assert Upload.objects.get().state == Upload.State.COMPLETE


# --- forgotten


def age(**span: float) -> None:
    Upload.objects.update(touched=timezone.now() - timedelta(**span))


def test_a_half_made_upload_expires_and_leaves_nothing(
    author: Author, folder: Folder, place: Path
) -> None:
    begun = author.begin(folder)
    author.send(folder, begun, most=3)
    age(hours=47)
    assert actions.expire_uploads() == 0
    age(hours=49)
    assert actions.expire_uploads() == 1
    assert Upload.objects.get().state == Upload.State.EXPIRED
    assert not [path for path in place.rglob("*") if path.is_file()]
    path = f"/{begun['id']}/files/config.json"
    answer = author.ask("PUT", f"{path}/chunks/0", folder.files["config.json"])
    assert code_of(answer) == (409, "upload_expired")
    assert code_of(author.ask("POST", f"/{begun['id']}/complete")) == (409, "upload_expired")
    assert author.begin(folder)["id"] != begun["id"], "it can begin again"


def test_a_chunk_renews_it(author: Author, folder: Folder) -> None:
    begun = author.begin(folder)
    age(hours=49)
    author.send(folder, begun, most=1)
    assert actions.expire_uploads() == 0


def test_files_stay_while_a_run_needs_them_and_others_of_the_organisation_stay(
    author: Author, folder: Folder, make_run: Any, place: Path
) -> None:
    upload = author.upload(folder)
    other = author.upload(Folder(folder.files | {"generation_config.json": b'{"a": 1}'}))
    run = make_run(kind="upload", checkpoint="", upload=upload)
    assert code_of(author.ask("DELETE", f"/{upload}")) == (409, "upload_in_use")
    Upload.objects.filter(pk=upload).update(touched=timezone.now() - timedelta(days=31))
    assert actions.expire_uploads() == 0
    actions.cancel(run=run.pk)
    assert actions.expire_uploads() == 1
    assert not list(place.rglob(f"folders/{upload}"))
    weights = place.rglob(f"folders/{other}/model.safetensors")
    assert [path.read_bytes() for path in weights] == [folder.files["model.safetensors"]]
    assert len(stored(place, "blobs")) == len(folder.files)
    assert author.ask("DELETE", f"/{other}").status_code == 200
    assert not [path for path in place.rglob("*") if path.is_file()]
    with pytest.raises(SiteError) as refused:
        make_run(kind="upload", checkpoint="", upload=other)
    assert refused.value.code is Refusal.UPLOAD_EXPIRED


def test_a_failed_run_of_an_expired_upload_is_not_queued_again(
    author: Author, folder: Folder, make_run: Any
) -> None:
    upload = author.upload(folder)
    run = make_run(kind="upload", checkpoint="", upload=upload)
    ended = {"state": RunState.FAILED, "code": "host_died", "fault": "ours"}
    Run.objects.filter(pk=run.pk).update(**ended, ended_at=timezone.now())
    assert author.ask("DELETE", f"/{upload}").status_code == 200
    with pytest.raises(SiteError) as refused:
        actions.requeue(run=run.pk)
    assert refused.value.code is Refusal.UPLOAD_EXPIRED


def test_an_upload_that_is_open_is_not_submitted(
    author: Author, folder: Folder, make_run: Any
) -> None:
    begun = author.begin(folder)
    with pytest.raises(SiteError) as refused:
        make_run(kind="upload", checkpoint="", upload=begun["id"])
    assert refused.value.code is Refusal.UPLOAD_INCOMPLETE


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("upload", ["", "x", "../..", "0B1C5A52-5D1C-4A39-9C1B-8F4F6F1D1C11"])
def test_the_name_of_an_upload_is_its_id(user: Any, ask: Any, upload: str) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(kind="upload", checkpoint="", upload=upload))
    assert (refused.value.code, refused.value.detail) == (Refusal.INVALID_FIELD, "upload")


def test_the_page_of_uploads_lists_and_deletes(
    author: Author, folder: Folder, client: Client
) -> None:
    upload = author.upload(folder)
    client.force_login(author.user)
    page = client.get("/uploads/").content.decode()
    assert upload in page and "LlamaForCausalLM" in page
    assert f'value="{upload}"' in client.get(f"/submit/?upload={upload}").content.decode()
    assert client.post(f"/uploads/{upload}/delete/").status_code == 302
    assert upload not in client.get("/uploads/").content.decode()


def test_files_are_counted_by_chunks() -> None:
    data = bytes(range(256)) * 1000
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    digest = digest_of([hashlib.sha256(chunk).digest() for chunk in chunks])
    hasher = UploadedFile(name="x", size=len(data), digest=digest).hasher()
    for at in range(0, len(data), 1000):
        hasher.update(data[at : at + 1000])
    assert hasher.hexdigest() == digest
    assert contract.chunks_of(len(data)) == len(chunks) == 4
    assert contract.chunk_size(len(data), 3) == len(chunks[3])
    whole = contract.ChunkHash()
    whole.update(data[:CHUNK])
    assert whole.hexdigest() == digest_of([hashlib.sha256(data[:CHUNK]).digest()])


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--']
)
def test_a_form_instead_of_json_is_refused(user: Any, data: bytes) -> None:
    """The check for forged requests reads a form before the parser can."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    browser.get("/submit/")
    headers = {"X-CSRFToken": browser.cookies["csrftoken"].value}
    form = "multipart/form-data; boundary=x"
    answer = browser.generic("POST", "/api/v1/uploads", data, form, headers=headers)
    refusal = (400, "bad_json") if data else (422, "invalid_field")
    assert (answer.status_code, answer.json()["code"]) == refusal
