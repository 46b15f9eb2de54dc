"""Uploading a folder: declared, sent in chunks, inspected, deleted when it expires.

- ``begin`` stores what will come, or finds the upload of equal files that a member of the
  organisation began before, from whichever machine;
- ``put_list`` and ``put_chunk`` write to the site's disk, in any order, any number of times; where
  there is an object store, ``addresses`` signs where chunks are sent instead;
- ``complete`` inspects the model as one on the hub is inspected;
- ``expire`` deletes abandoned uploads, and what no run has needed for long.

The row of the organisation is locked while its uploads are made, completed or deleted.
"""

import errno
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models.functions import Now

from evaluator.artefacts import selection
from evaluator.artefacts.adapters import PICKLE, is_adapter
from evaluator.contract import canonical_json
from evaluator.contract.adapters import UploadedAdapter
from evaluator.contract.hub import AdapterFacts
from evaluator.contract.uploads import UploadedFile, UploadFacts, chunk_size, chunks_of
from evaluator.errors import EvaluatorError
from leaderboard.accounts.models import Organisation, User
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import dispatch, hub
from leaderboard.submissions.models import Run, Upload, UploadFile, seconds_from_now
from leaderboard.submissions.models.uploads import UploadQuerySet
from leaderboard.submissions.object_store import MOST_PARTS, Address, ObjectStore, StoreAway
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
_LOCKS = 0x5EA5
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def store_of(organisation: Organisation) -> UploadStore | ObjectStore:
    """Return the files of an organisation."""
    if settings.UPLOADS_BUCKET:
        return ObjectStore(settings.UPLOADS_BUCKET, organisation.pk)
    return UploadStore(settings.UPLOADS, organisation.pk)


@contextmanager
def reachable() -> Iterator[None]:
    """Refuse with ``upload_store_away`` where the object store is, ``upload_no_space`` where the
    disk is full."""
    try:
        yield
    except StoreAway:
        raise refuse(Refusal.UPLOAD_STORE_AWAY) from None
    except OSError as failure:
        if failure.errno in _FULL:
            raise refuse(Refusal.UPLOAD_NO_SPACE) from None
        raise


# --- declared


def begin(
    *,
    user: User,
    files: Iterable[UploadedFile],
    organisation: str = "",
) -> Upload:
    """Return the organisation's open or complete upload of these files, made where there is none.

    ``organisation`` is the name of one of the user's, empty for the one joined first. Raises
    ``no_organisation``, ``organisation_not_yours``, the UPLOAD_* refusals about names and sizes,
    and the CHECKPOINT_* codes of a folder that lacks what a model needs.
    """
    declared = sorted(files, key=lambda file: file.name)
    _check(declared)
    listing = canonical_json([file.to_dict() for file in declared])
    fingerprint = hashlib.sha256(listing).hexdigest()
    with transaction.atomic():
        owner = user.organisation(organisation)
        if owner is None:
            raise refuse(Refusal.NO_ORGANISATION)
        _lock(owner.pk)
        own = Upload.objects.of(owner).stored()
        known = own.filter(fingerprint=fingerprint).first()
        if known is not None:
            return known
        _check_space(own, declared)
        upload = Upload.objects.create(
            organisation=owner,
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
    # Files that no model has. A pickle is refused later, by a code of its own.
    of_adapter = is_adapter(listing)
    wanted = {PICKLE, *(selection.OF_ADAPTERS if of_adapter else selection.OTHERS)}
    for name in listing:
        if name not in wanted and not name.endswith(".safetensors"):
            raise refuse(Refusal.UPLOAD_BAD_NAME)
    _check_sizes(files)
    try:
        if of_adapter:
            selection.adapter_files(listing)
        else:
            selection.others(listing)
    except EvaluatorError as failure:
        raise refuse(failure.code, failure.detail) from None
    if PICKLE in listing:
        raise refuse(Refusal.UPLOAD_BAD_NAME)


def _check_sizes(files: list[UploadedFile]) -> None:
    """Refuse more bytes than an upload may have, also of one file other than weights."""
    most_parts = max((chunks_of(file.size) for file in files), default=0)
    if settings.UPLOADS_BUCKET and most_parts > MOST_PARTS:
        raise refuse(Refusal.UPLOAD_TOO_LARGE, f"a file has at most {MOST_PARTS} chunks")
    if sum(file.size for file in files) > settings.UPLOAD_BYTES:
        raise refuse(Refusal.UPLOAD_TOO_LARGE, f"at most {settings.UPLOAD_BYTES >> 20} MiB")
    others = [file for file in files if not file.name.endswith(".safetensors")]
    if any(file.size > selection.MOST_OTHER_BYTES for file in others):
        most = selection.MOST_OTHER_BYTES >> 20
        raise refuse(Refusal.UPLOAD_TOO_LARGE, f"other than weights at most {most} MiB a file")


def _check_space(own: "models.QuerySet[Upload]", files: list[UploadedFile]) -> None:
    """Refuse what does not fit next to the other uploads of the organisation, and of the site."""
    if own.filter(state=Upload.State.OPEN).count() >= MOST_OPEN:
        raise refuse(Refusal.UPLOAD_SHARE_USED, f"{MOST_OPEN} uploads are not complete")
    own_files = UploadFile.objects.filter(upload__in=own)
    stored = dict(own_files.values_list("digest", "size"))
    added = {}
    for file in files:
        if file.digest not in stored:
            added[file.digest] = file.size
    new = sum(added.values())
    if sum(stored.values()) + new > settings.UPLOADS_ORGANISATION_BYTES:
        most = settings.UPLOADS_ORGANISATION_BYTES >> 20
        raise refuse(Refusal.UPLOAD_SHARE_USED, f"{most} MiB")
    sizes = Upload.objects.stored().aggregate(total=models.Sum("size"))
    total = sizes["total"] or 0
    on_disk = not settings.UPLOADS_BUCKET
    full = on_disk and new > free_bytes(settings.UPLOADS)
    if full or total + new > settings.UPLOADS_BYTES:
        raise refuse(Refusal.UPLOAD_NO_SPACE)


def _lock(organisation: int) -> None:
    """Have only this transaction make, complete or delete uploads of an organisation.

    Its row is not locked: a submission locks that, and must not wait for a store of objects.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCKS, organisation])


# --- sent


def uploads_of(user: User) -> UploadQuerySet:
    """Return the uploads of the user's organisations, newest first: those that they may change."""
    own = Upload.objects.filter(organisation__in=user.organisations())
    return own.order_by("-created")


def uploads_for(user: User, organisation: str) -> UploadQuerySet:
    """Return the uploads that may be submitted for one of the user's organisations: its own.

    The name is empty for the organisation joined first. Raises ``organisation_not_yours``.
    """
    owner = user.organisation(organisation)
    if owner is None:
        return Upload.objects.none()
    return Upload.objects.of(owner)


def upload_of(user: User, upload: uuid.UUID) -> Upload:
    """Return an upload of one of the user's organisations. Raises ``not_found``."""
    own = uploads_of(user).select_related("organisation")
    found = own.filter(pk=upload).first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    return found


def _locked(user: User, upload: uuid.UUID) -> Upload:
    """Return an upload as it is once no other transaction changes uploads of its organisation."""
    _lock(upload_of(user, upload).organisation_id)
    return upload_of(user, upload)


def progress(upload: Upload) -> list[tuple[UploadedFile, Progress]]:
    """Return the files of an upload, each with its progress."""
    store = store_of(upload.organisation)
    with reachable():
        return [(file, store.progress(file)) for file in upload.declared()]


def open_file(
    user: User,
    upload: uuid.UUID,
    name: str,
) -> tuple[Upload, UploadedFile]:
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
        with reachable():
            store_of(upload.organisation).put_list(file, data)
    except ListDiffers:
        raise refuse(Refusal.UPLOAD_LIST_DIFFERS) from None


def put_chunk(
    *,
    upload: Upload,
    file: UploadedFile,
    number: int,
    data: bytes,
) -> None:
    """Store a chunk. Raises the refusals about chunks, and ``upload_no_space``."""
    is_of_file = number < chunks_of(file.size)
    if not is_of_file or len(data) != chunk_size(file.size, number):
        raise refuse(Refusal.UPLOAD_CHUNK_SIZE)
    store = store_of(upload.organisation)
    if isinstance(store, ObjectStore):
        raise refuse(Refusal.UPLOAD_DIRECT)
    try:
        with reachable():
            store.put_chunk(file, number, data)
    except NoList:
        raise refuse(Refusal.UPLOAD_NO_LIST) from None
    except ChunkDiffers:
        raise refuse(Refusal.UPLOAD_CHUNK_DIFFERS) from None
    _touch(upload)


def addresses(
    *,
    upload: Upload,
    file: UploadedFile,
    numbers: Sequence[int],
) -> list[Address]:
    """Return signed addresses for chunks, which end soon.

    Raises ``upload_not_direct`` where chunks go to the site, ``upload_no_list``,
    ``upload_chunk_size`` for a chunk that the file has not, ``upload_store_away``.
    """
    store = store_of(upload.organisation)
    if not isinstance(store, ObjectStore):
        raise refuse(Refusal.UPLOAD_NOT_DIRECT)
    if not all(0 <= number < chunks_of(file.size) for number in numbers):
        raise refuse(Refusal.UPLOAD_CHUNK_SIZE)
    _touch(upload)
    try:
        with reachable():
            return store.addresses(file, numbers)
    except NoList:
        raise refuse(Refusal.UPLOAD_NO_LIST) from None


def _touch(upload: Upload) -> None:
    lately = seconds_from_now(-TOUCH_SECONDS)
    untouched = Upload.objects.filter(pk=upload.pk, touched__lt=lately)
    untouched.update(touched=Now())


def complete(*, user: User, upload: uuid.UUID) -> Upload:
    """Inspect an upload whose files are all here, and have it ready for a submission.

    A model that is refused stays open, so that its author can read why; it expires as others do.
    Raises ``upload_incomplete``, ``upload_expired``, ``upload_chunk_differs`` where what an object
    store has put together is not what was declared, the CHECKPOINT_* codes.
    """
    sent = upload_of(user, upload)
    if sent.state == Upload.State.OPEN:
        # An object store puts the chunks of each file together, if it has them all.
        store = store_of(sent.organisation)
        try:
            with reachable():
                for file in sent.declared():
                    store.finish(file)
        except ChunkDiffers:
            raise refuse(Refusal.UPLOAD_CHUNK_DIFFERS) from None
    with transaction.atomic():
        found = _locked(user, upload)
        if found.state == Upload.State.EXPIRED:
            raise refuse(Refusal.UPLOAD_EXPIRED)
        if found.state == Upload.State.COMPLETE:
            return found
        files = found.declared()
        store = store_of(found.organisation)
        with reachable():
            if not all(store.progress(file).complete for file in files):
                raise refuse(Refusal.UPLOAD_INCOMPLETE)
            store.assemble(str(found.pk), files)
    # It takes seconds: no lock is held meanwhile.
    with reachable(), store.reading(str(found.pk), files) as folder:
        read = hub.inspect(folder)
    facts: UploadFacts | UploadedAdapter
    if isinstance(read, AdapterFacts):
        facts = UploadedAdapter(
            upload=str(found.pk),
            files=tuple(files),
            adapter=read,
        )
    else:
        facts = UploadFacts.of(str(found.pk), files, read)
    still_open = Upload.objects.filter(pk=found.pk, state=Upload.State.OPEN)
    completed = still_open.update(
        state=Upload.State.COMPLETE,
        facts=facts.to_dict(),
        touched=Now(),
    )
    if not completed:
        return complete(user=user, upload=upload)  # another request was first, or it has expired
    found.refresh_from_db()
    return found


# --- fetched by evaluators


def chunk_for(
    *,
    ticket: str,
    upload: uuid.UUID,
    name: str,
    number: int,
) -> bytes | str:
    """Return a chunk to the evaluator that has the ticket of a live attempt.

    Where there is an object store, the signed address of the whole file, which has the chunk.

    Raises ``unauthorized`` for any other, ``not_found`` for a chunk that there is not.
    """
    attempt = dispatch.attempt_of(ticket)
    if attempt is None:
        raise refuse(Refusal.UNAUTHORIZED)
    run, token = attempt
    runs = Run.objects.filter(_needs(upload), pk=run, token=token)
    if not runs.exclude(state__in=FINAL).exists():
        raise refuse(Refusal.UNAUTHORIZED)
    found = Upload.objects.select_related("organisation").get(pk=upload)
    file = found.files.filter(name=name).first()
    if file is None or number >= chunks_of(file.size):
        raise refuse(Refusal.NOT_FOUND)
    store = store_of(found.organisation)
    try:
        if isinstance(store, ObjectStore):
            with reachable():
                return store.address_of(file.declared())
        return store.read_chunk(str(found.pk), file.declared(), number)
    except FileNotFoundError:
        raise refuse(Refusal.NOT_FOUND) from None


def _needs(upload: uuid.UUID) -> models.Q:
    """Return the condition of runs whose model, base model or verifier is an upload."""
    return (
        models.Q(submission__upload=upload)
        | models.Q(submission__base_upload=upload)
        | models.Q(submission__verifier_upload=upload)
    )


# --- deleted


def delete(*, user: User, upload: uuid.UUID) -> Upload:
    """Delete an upload's files. Raises ``upload_in_use`` while a run needs them."""
    with transaction.atomic():
        found = _locked(user, upload)
        if found.state != Upload.State.EXPIRED and not _delete(found):
            raise refuse(Refusal.UPLOAD_IN_USE)
    return found


def expire() -> int:
    """Delete abandoned uploads, and those that no run has needed for long."""
    open_since = Now() - timedelta(hours=settings.UPLOAD_HOURS)
    abandoned = models.Q(state=Upload.State.OPEN, touched__lt=open_since)
    complete_since = Now() - timedelta(days=settings.UPLOAD_DAYS)
    old = models.Q(state=Upload.State.COMPLETE, touched__lt=complete_since)
    due = abandoned | old
    oldest_first = Upload.objects.filter(due).order_by("touched")
    number = 0
    for upload in oldest_first[:AT_ONCE].select_related("organisation"):
        with transaction.atomic():
            _lock(upload.organisation_id)
            number += _delete(upload, due=due)
    return number


def _delete(upload: Upload, due: models.Q | None = None) -> bool:
    """Delete an upload unless a run needs it, or it is not ``due`` by now.

    Uploads of the organisation are locked, and the upload's own row, which a submission locks too.
    """
    locking = Upload.objects.select_for_update()
    own = locking.filter(due or models.Q(), pk=upload.pk)
    needed = Run.objects.unended().filter(_needs(upload.pk))
    if own.first() is None or needed.exists():
        return False
    upload.state = Upload.State.EXPIRED
    upload.save(update_fields=["state"])
    others = Upload.objects.of(upload.organisation).stored()
    files = UploadFile.objects.filter(upload__in=others)
    wanted = list(files.values_list("digest", flat=True))
    with reachable():
        store_of(upload.organisation).remove(str(upload.pk), wanted)
    return True
