"""Uploading a folder: declared, sent in chunks, inspected, deleted when it expires.

- ``begin`` stores what will come, or finds the upload of equal files that a member of the
  organisation began before, from whichever machine;
- ``put_list`` and ``put_chunk`` write to the site's disk, in any order, any number of times;
- ``complete`` inspects the model as one on the hub is inspected;
- ``expire`` deletes abandoned uploads, and what no run has needed for long.

The row of the organisation is locked while its uploads are made, completed or deleted.
"""

import errno
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models.functions import Now

from evaluator.artefacts import selection
from evaluator.contract import canonical_json
from evaluator.contract.uploads import UploadedFile, UploadFacts, chunk_size, chunks_of
from evaluator.errors import EvaluatorError
from leaderboard.accounts.models import Organisation, User
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import dispatch, hub
from leaderboard.submissions.models import Run, Upload, UploadFile, seconds_from_now
from leaderboard.submissions.models.uploads import UploadQuerySet
from leaderboard.submissions.states import FINAL
from leaderboard.submissions.upload_store import (
    ChunkDiffers,
    ListDiffers,
    NoList,
    Progress,
    UploadStore,
    free_bytes,
)

MOST_OPEN = 20
"""Uploads of an organisation that are not complete."""
TOUCH_SECONDS = 60
"""An upload's time is written once in so many seconds, not for every chunk."""
AT_ONCE = 100
"""Uploads that one call of ``expire`` deletes."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def store_of(organisation: Organisation) -> UploadStore:
    """Return the files of an organisation."""
    return UploadStore(settings.UPLOADS, organisation.pk)


@contextmanager
def _disk() -> Iterator[None]:
    """Refuse with ``upload_no_space`` where the disk is full."""
    try:
        yield
    except OSError as failure:
        if failure.errno in _FULL:
            raise refuse(Refusal.UPLOAD_NO_SPACE) from None
        raise


# --- declared


def begin(*, user: User, files: Iterable[UploadedFile]) -> Upload:
    """Return the organisation's open or complete upload of these files, made where there is none.

    Raises ``no_organisation``, the UPLOAD_* refusals about names and sizes, and the CHECKPOINT_*
    codes of a folder that lacks what a model needs.
    """
    declared = sorted(files, key=lambda file: file.name)
    _check(declared)
    fingerprint = hashlib.sha256(canonical_json([file.to_dict() for file in declared])).hexdigest()
    with transaction.atomic():
        organisation = _locked_organisation(user)
        own = Upload.objects.of(organisation).stored()
        known = own.filter(fingerprint=fingerprint).first()
        if known is not None:
            return known
        _check_space(own, declared)
        upload = Upload.objects.create(
            organisation=organisation,
            created_by=user,
            fingerprint=fingerprint,
            size=sum(file.size for file in declared),
        )
        rows = [UploadFile(upload=upload, **file.to_dict()) for file in declared]
        UploadFile.objects.bulk_create(rows)
    return upload


def _check(files: list[UploadedFile]) -> None:
    """Refuse a list that cannot be a model's, before anything is looked up by it."""
    if len(files) > settings.UPLOAD_FILES:
        raise refuse(Refusal.UPLOAD_TOO_MANY_FILES, f"at most {settings.UPLOAD_FILES}")
    listing = {file.name: file for file in files}
    if len(listing) < len(files):
        raise refuse(Refusal.UPLOAD_BAD_NAME)
    if not all(name in selection.OTHERS or name.endswith(".safetensors") for name in listing):
        raise refuse(Refusal.UPLOAD_BAD_NAME)
    _check_sizes(files)
    try:
        selection.others(listing)
    except EvaluatorError as failure:
        raise refuse(failure.code, failure.detail) from None


def _check_sizes(files: list[UploadedFile]) -> None:
    """Refuse more bytes than an upload may have, also of one file other than weights."""
    if sum(file.size for file in files) > settings.UPLOAD_BYTES:
        raise refuse(Refusal.UPLOAD_TOO_LARGE, f"at most {settings.UPLOAD_BYTES >> 20} MiB")
    others = [file for file in files if file.name in selection.OTHERS]
    if any(file.size > selection.MOST_OTHER_BYTES for file in others):
        most = selection.MOST_OTHER_BYTES >> 20
        raise refuse(Refusal.UPLOAD_TOO_LARGE, f"other than weights at most {most} MiB a file")


def _check_space(own: "models.QuerySet[Upload]", files: list[UploadedFile]) -> None:
    """Refuse what does not fit next to the other uploads of the organisation, and of the site."""
    if own.filter(state=Upload.State.OPEN).count() >= MOST_OPEN:
        raise refuse(Refusal.UPLOAD_SHARE_USED, f"{MOST_OPEN} uploads are not complete")
    stored = dict(UploadFile.objects.filter(upload__in=own).values_list("digest", "size"))
    new = sum(file.size for file in {file.digest: file for file in files}.values()
              if file.digest not in stored)  # fmt: skip
    if sum(stored.values()) + new > settings.UPLOADS_ORGANISATION_BYTES:
        most = settings.UPLOADS_ORGANISATION_BYTES >> 20
        raise refuse(Refusal.UPLOAD_SHARE_USED, f"{most} MiB")
    total = Upload.objects.stored().aggregate(total=models.Sum("size"))["total"] or 0
    if total + new > settings.UPLOADS_BYTES or new > free_bytes(settings.UPLOADS):
        raise refuse(Refusal.UPLOAD_NO_SPACE)


def _locked_organisation(user: User) -> Organisation:
    organisation = user.organisation()
    if organisation is None:
        raise refuse(Refusal.NO_ORGANISATION)
    return Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)


# --- sent


def uploads_of(user: User) -> UploadQuerySet:
    """Return the uploads of the user's organisation, newest first."""
    organisation = user.organisation()
    if organisation is None:
        return Upload.objects.none()
    return Upload.objects.of(organisation).order_by("-created")


def upload_of(user: User, upload: uuid.UUID) -> Upload:
    """Return an upload of the user's organisation. Raises ``not_found``."""
    found = uploads_of(user).select_related("organisation").filter(pk=upload).first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    return found


def progress(upload: Upload) -> list[tuple[UploadedFile, Progress]]:
    """Return the files of an upload, each with its progress."""
    store = store_of(upload.organisation)
    return [(file, store.progress(file)) for file in upload.declared()]


def open_file(user: User, upload: uuid.UUID, name: str) -> tuple[Upload, UploadedFile]:
    """Return a file that may be sent. Raises ``not_found`` and ``upload_expired``."""
    found = upload_of(user, upload)
    if found.state == Upload.State.EXPIRED:
        raise refuse(Refusal.UPLOAD_EXPIRED)
    file = found.files.filter(name=name).first()
    if file is None:
        raise refuse(Refusal.NOT_FOUND)
    return found, file.declared()


def put_list(*, upload: Upload, file: UploadedFile, data: bytes) -> None:
    """Store the list of a file's chunks. Raises ``upload_list_differs``, ``upload_no_space``."""
    try:
        with _disk():
            store_of(upload.organisation).put_list(file, data)
    except ListDiffers:
        raise refuse(Refusal.UPLOAD_LIST_DIFFERS) from None


def put_chunk(*, upload: Upload, file: UploadedFile, number: int, data: bytes) -> None:
    """Store a chunk. Raises the refusals about chunks, and ``upload_no_space``."""
    if number >= chunks_of(file.size) or len(data) != chunk_size(file.size, number):
        raise refuse(Refusal.UPLOAD_CHUNK_SIZE)
    try:
        with _disk():
            store_of(upload.organisation).put_chunk(file, number, data)
    except NoList:
        raise refuse(Refusal.UPLOAD_NO_LIST) from None
    except ChunkDiffers:
        raise refuse(Refusal.UPLOAD_CHUNK_DIFFERS) from None
    lately = seconds_from_now(-TOUCH_SECONDS)
    Upload.objects.filter(pk=upload.pk, touched__lt=lately).update(touched=Now())


def complete(*, user: User, upload: uuid.UUID) -> Upload:
    """Inspect an upload whose files are all here, and have it ready for a submission.

    A model that is refused stays open, so that its author can read why; it expires as others do.
    Raises ``upload_incomplete``, ``upload_expired``, the CHECKPOINT_* codes.
    """
    with transaction.atomic():
        _locked_organisation(user)
        found = upload_of(user, upload)
        if found.state == Upload.State.EXPIRED:
            raise refuse(Refusal.UPLOAD_EXPIRED)
        if found.state == Upload.State.COMPLETE:
            return found
        files = found.declared()
        store = store_of(found.organisation)
        if not all(store.progress(file).complete for file in files):
            raise refuse(Refusal.UPLOAD_INCOMPLETE)
        folder = store.assemble(str(found.pk), files)
    read = hub.inspect(folder)  # takes seconds: no lock is held meanwhile
    facts = UploadFacts(upload=str(found.pk), files=tuple(files), **read.to_dict())
    own = Upload.objects.filter(pk=found.pk, state=Upload.State.OPEN)
    if own.update(state=Upload.State.COMPLETE, facts=facts.to_dict(), touched=Now()) == 0:
        return complete(user=user, upload=upload)  # another request was first, or it has expired
    found.refresh_from_db()
    return found


# --- fetched by evaluators


def chunk_for(*, ticket: str, upload: uuid.UUID, name: str, number: int) -> bytes:
    """Return a chunk to the evaluator that has the ticket of a live attempt.

    Raises ``unauthorized`` for any other, ``not_found`` for a chunk that there is not.
    """
    attempt = dispatch.attempt_of(ticket)
    if attempt is None:
        raise refuse(Refusal.UNAUTHORIZED)
    run = (
        Run.objects.filter(pk=attempt[0], token=attempt[1], submission__upload=upload)
        .exclude(state__in=FINAL)
        .select_related("submission__upload__organisation")
        .first()
    )
    found = run.submission.upload if run else None
    if found is None:
        raise refuse(Refusal.UNAUTHORIZED)
    file = found.files.filter(name=name).first()
    if file is None or number >= chunks_of(file.size):
        raise refuse(Refusal.NOT_FOUND)
    try:
        return store_of(found.organisation).read_chunk(str(found.pk), file.declared(), number)
    except FileNotFoundError:
        raise refuse(Refusal.NOT_FOUND) from None


# --- deleted


def delete(*, user: User, upload: uuid.UUID) -> Upload:
    """Delete an upload's files. Raises ``upload_in_use`` while a run needs them."""
    with transaction.atomic():
        _locked_organisation(user)
        found = upload_of(user, upload)
        if found.state != Upload.State.EXPIRED and not _delete(found):
            raise refuse(Refusal.UPLOAD_IN_USE)
    return found


def expire() -> int:
    """Delete abandoned uploads, and those that no run has needed for long."""
    abandoned = models.Q(
        state=Upload.State.OPEN, touched__lt=Now() - timedelta(hours=settings.UPLOAD_HOURS)
    )
    old = models.Q(
        state=Upload.State.COMPLETE, touched__lt=Now() - timedelta(days=settings.UPLOAD_DAYS)
    )
    due = Upload.objects.filter(abandoned | old).order_by("touched")[:AT_ONCE]
    number = 0
    for upload in due.select_related("organisation"):
        with transaction.atomic():
            Organisation.objects.select_for_update(no_key=True).get(pk=upload.organisation_id)
            number += _delete(upload, due=abandoned | old)
    return number


def _delete(upload: Upload, due: models.Q | None = None) -> bool:
    """Delete an upload unless a run needs it, or it is not ``due`` by now.

    The organisation is locked, and the upload's own row, which a submission locks too.
    """
    own = Upload.objects.select_for_update().filter(due or models.Q(), pk=upload.pk)
    needed = Run.objects.filter(submission__upload=upload).exclude(state__in=FINAL)
    if own.first() is None or needed.exists():
        return False
    upload.state = Upload.State.EXPIRED
    upload.save(update_fields=["state"])
    left = UploadFile.objects.filter(upload__in=Upload.objects.of(upload.organisation).stored())
    wanted = list(left.values_list("digest", flat=True))
    store_of(upload.organisation).remove(str(upload.pk), wanted)
    return True
