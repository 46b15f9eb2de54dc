"""Uploading a folder: its files are declared, then sent in chunks, from whichever machine.

Authors come with a token of scope submit or, from the page, with their session; evaluators fetch
with the ticket of a run.
"""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from ninja import Field, Query, Router, Schema, Status
from ninja.security import SessionAuth

from evaluator.contract import fits
from evaluator.contract.uploads import CHUNK, DIGEST_BYTES, UploadedFile, chunks_of
from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.models import Upload

router = Router(tags=["uploads"])


class Session(SessionAuth):
    """Authentication by the session of the page that uploads."""

    def __call__(self, request: HttpRequest) -> Any:
        """Return the user, None for an anonymous visitor."""
        return super().__call__(request) if request.user.is_authenticated else None


AUTHOR = [Bearer(Scope.SUBMIT), Session()]


class FileIn(Strict):
    """File of the folder. ``digest`` is the SHA-256 of the SHA-256 digests of its chunks."""

    name: str = Field(max_length=300)
    size: int
    digest: str = Field(max_length=64)


class UploadIn(Strict):
    """Files of the folder: safetensors, configuration, tokenizer, chat template."""

    files: list[FileIn]
    organisation: str = Field(
        "",
        max_length=80,
        description="Your organisation that will submit it, by name; empty for the one joined"
        " first.",
    )

    def declared(self) -> Iterable[UploadedFile]:
        """Return the files. Raises ``upload_bad_name``, ``upload_empty_file``, ``invalid_field``.

        Of a file that is refused its place in the list is named.
        """
        for place, file in enumerate(self.files, 1):
            fields = file.model_dump()
            if file.size == 0:
                raise refuse(Refusal.UPLOAD_EMPTY_FILE, f"file {place}")
            if not fits(fields, UploadedFile):
                named = fits(fields | {"name": "x"}, UploadedFile)
                code = Refusal.UPLOAD_BAD_NAME if named else Refusal.INVALID_FIELD
                raise refuse(code, f"file {place}")
            yield UploadedFile(**fields)


class FileOut(Schema):
    """File, and the chunks that are missing."""

    name: str
    size: int
    digest: str
    listed: bool = Field(description="The list of its chunks has come.")
    missing: list[tuple[int, int]] = Field(
        description="Missing chunks, counted from 0, as first and last of each stretch."
    )


class UploadOut(Schema):
    """Upload and what is missing of it. Only its own organisation can submit it."""

    id: UUID
    organisation: str
    state: str
    size: int
    chunk: int = Field(description="Bytes of every chunk but a file's last.")
    direct: bool = Field(description="Chunks go to an object store, by signed addresses.")
    created: datetime
    files: list[FileOut]


class AddressesIn(Strict):
    """Chunks that are to be sent, counted from 0."""

    numbers: list[int] = Field(min_length=1, max_length=100)


class AddressOut(Schema):
    """Address to which a chunk is sent by PUT, with these headers, within some minutes."""

    number: int
    url: str
    headers: dict[str, str]


class OfOrganisationQuery(Schema):
    """Part of the list: the uploads of one of your organisations, empty for all."""

    organisation: str = Field("", max_length=80)


class UploadRow(Schema):
    """Upload in a list. Only its own organisation can submit it."""

    id: UUID
    organisation: str = Field(alias="organisation.name")
    state: str
    size: int
    created: datetime


@router.post(
    "/uploads",
    auth=AUTHOR,
    response={
        201: UploadOut,
        (400, 401, 403, 413, 422, 429, 503): Problem,
    },
    summary="Begin or continue an upload",
)
def begin_upload(request: HttpRequest, order: UploadIn) -> Any:
    """Declare the files. The same files again return the same upload, with what is missing."""
    upload = actions.begin_upload(
        user=token_user(request),
        files=order.declared(),
        organisation=order.organisation,
    )
    return Status(201, _upload(upload))


@router.get(
    "/uploads",
    auth=AUTHOR,
    response={200: list[UploadRow], (401, 403): Problem},
    summary="Uploads of your organisations",
)
def uploads(request: HttpRequest, query: Query[OfOrganisationQuery]) -> list[Upload]:
    """Return the uploads that are stored, newest first."""
    user = token_user(request)
    own = actions.uploads_of(user).stored().select_related("organisation")
    if query.organisation:
        own = own.filter(organisation=user.organisation(query.organisation))
    return list(own[:100])


@router.get(
    "/uploads/{uuid:upload_id}",
    auth=AUTHOR,
    response={200: UploadOut, (401, 404): Problem},
    summary="One upload",
)
def upload(request: HttpRequest, upload_id: UUID) -> dict[str, Any]:
    """Return an upload of one of your organisations."""
    return _upload(actions.upload_of(token_user(request), upload_id))


@router.put(
    "/uploads/{uuid:upload_id}/files/{name}/list",
    auth=AUTHOR,
    response={
        204: None,
        (400, 401, 404, 409, 422, 503): Problem,
    },
    summary="List of a file's chunks",
)
def put_list(request: HttpRequest, upload_id: UUID, name: str) -> Any:
    """Send the SHA-256 of each chunk, 32 bytes each, as the body."""
    found, file = actions.open_file(token_user(request), upload_id, name)
    data = _body(request, chunks_of(file.size) * DIGEST_BYTES)
    actions.put_list(upload=found, file=file, data=data)
    return Status(204, None)


@router.put(
    "/uploads/{uuid:upload_id}/files/{name}/chunks/{int:number}",
    auth=AUTHOR,
    response={
        204: None,
        (400, 401, 404, 409, 422, 503): Problem,
    },
    summary="Send a chunk",
)
def put_chunk(request: HttpRequest, upload_id: UUID, name: str, number: int) -> Any:
    """Send a chunk as the body, in any order. Sending one again changes nothing."""
    found, file = actions.open_file(token_user(request), upload_id, name)
    data = _body(request, CHUNK)
    actions.put_chunk(upload=found, file=file, number=number, data=data)
    return Status(204, None)


@router.post(
    "/uploads/{uuid:upload_id}/files/{name}/addresses",
    auth=AUTHOR,
    response={
        200: list[AddressOut],
        (400, 401, 403, 404, 409, 422, 503): Problem,
    },
    summary="Addresses for chunks",
)
def chunk_addresses(
    request: HttpRequest, upload_id: UUID, name: str, order: AddressesIn
) -> list[dict[str, Any]]:
    """Return signed addresses of the object store, where there is one. Each takes one chunk."""
    found, file = actions.open_file(token_user(request), upload_id, name)
    signed = actions.upload_addresses(upload=found, file=file, numbers=order.numbers)
    return [asdict(address) for address in signed]


@router.get(
    "/uploads/{uuid:upload_id}/files/{name}/chunks/{int:number}",
    auth=None,
    response={
        200: None,
        307: None,
        (401, 404, 503): Problem,
    },
    summary="Chunk, for an evaluator",
)
def get_chunk(request: HttpRequest, upload_id: UUID, name: str, number: int) -> HttpResponse:
    """Return a chunk to the evaluator of a live run, by ``Authorization: Ticket TICKET``.

    Where there is an object store, a redirect to a signed address of the file: the range of the
    request is the chunk.
    """
    kind, _, ticket = request.headers.get("Authorization", "").partition(" ")
    if kind != "Ticket":
        raise refuse(Refusal.UNAUTHORIZED)
    chunk = actions.chunk_for(
        ticket=ticket,
        upload=upload_id,
        name=name,
        number=number,
    )
    if isinstance(chunk, str):  # the signed address
        response = HttpResponse(b"", "application/octet-stream")
        response.status_code = HTTPStatus.TEMPORARY_REDIRECT
        response.headers["Location"] = chunk
    else:
        response = HttpResponse(chunk, "application/octet-stream")
    response.headers["Cache-Control"] = "private, no-store"
    return response


@router.post(
    "/uploads/{uuid:upload_id}/complete",
    auth=AUTHOR,
    response={
        200: UploadOut,
        (401, 403, 404, 409, 422, 503): Problem,
    },
    summary="Complete an upload",
)
def complete_upload(request: HttpRequest, upload_id: UUID) -> dict[str, Any]:
    """Inspect the model. Any member of its organisation can submit it, any number of times."""
    return _upload(actions.complete_upload(user=token_user(request), upload=upload_id))


@router.delete(
    "/uploads/{uuid:upload_id}",
    auth=AUTHOR,
    response={200: UploadRow, (401, 403, 404, 409): Problem},
    summary="Delete an upload",
)
def delete_upload(request: HttpRequest, upload_id: UUID) -> Upload:
    """Delete the files. Runs of it keep their results; refused while one is not over."""
    return actions.delete_upload(user=token_user(request), upload=upload_id)


def _body(request: HttpRequest, most: int) -> bytes:
    """Return the body of at most ``most`` bytes. Raises ``upload_chunk_size``, ``upload_cut``."""
    try:
        data = request.read(most + 1)
    except UnreadablePostError:
        raise refuse(Refusal.UPLOAD_CUT) from None
    if len(data) > most:
        raise refuse(Refusal.UPLOAD_CHUNK_SIZE)
    declared = request.headers.get("Content-Length") or "0"
    if str(len(data)) != declared:
        raise refuse(Refusal.UPLOAD_CUT)
    return bytes(data)


def _upload(upload: Upload) -> dict[str, Any]:
    files = []
    for file, done in actions.upload_progress(upload):
        facts = file.to_dict()
        facts["listed"] = done.listed
        # The first and the last of each run of consecutive numbers.
        stretches: list[tuple[int, int]] = []
        for number in done.missing:
            first = number
            if stretches and stretches[-1][1] == number - 1:
                first, _ = stretches.pop()
            stretches.append((first, number))
        facts["missing"] = stretches
        files.append(facts)
    return {
        "id": upload.pk,
        "organisation": upload.organisation.name,
        "state": upload.state,
        "size": upload.size,
        "chunk": CHUNK,
        "direct": actions.store_of(upload.organisation).direct,
        "created": upload.created,
        "files": files,
    }
