"""Files of uploads in an S3-compatible store, apart for each organisation.

Authors send chunks, and evaluators fetch them, by addresses that the site signs: no file passes
through a process of the site.

- ``ORGANISATION/lists/DIGEST`` has the SHA-256 of each chunk, 32 bytes each, and names the
  multipart upload whose parts are the chunks. It is stored only if it has the declared digest.
- An address is signed for one part with one SHA-256: the store refuses other bytes.
- ``ORGANISATION/blobs/DIGEST`` is a complete file. What S3 calls the composite checksum of such an
  object is the SHA-256 of its parts' digests, which is the digest of ``contract.uploads``. It is
  compared before a file counts as complete, and evaluators compare what they fetch.
"""

import base64
import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from evaluator.artefacts.safetensors import MAX_HEADER_BYTES
from evaluator.contract.uploads import (
    CHUNK,
    DIGEST_BYTES,
    UploadedFile,
    chunk_size,
    chunks_of,
)
from leaderboard.submissions.upload_store import (
    ChunkDiffers,
    ListDiffers,
    NoList,
    Progress,
    is_list_of,
)
from leaderboard.upload_settings import Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

MOST_PARTS = 10_000
"""Parts of one object, at most: S3's own bound. Files are of at most so many chunks."""
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_UPLOAD_ID = "upload-id"
_SETTINGS = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 2},
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class StoreAway(Exception):
    """The object store does not answer, or refuses the site's key."""


@dataclass(frozen=True)
class Address:
    """Signed address of a chunk, and the headers that its request must have."""

    number: int
    url: str
    headers: Mapping[str, str]


@cache
def client_of(bucket: Bucket) -> "S3Client":
    """Return a client with the site's key."""
    return boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=bucket.region,
        aws_access_key_id=bucket.key,
        aws_secret_access_key=bucket.secret,
        config=_SETTINGS,
    )


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """Raise StoreAway for an error of the client, FileNotFoundError for what is not there."""
    try:
        yield
    except ClientError as failure:
        error = failure.response.get("Error", {})
        if error.get("Code", "") in _MISSING:
            raise FileNotFoundError from None
        raise StoreAway from None
    except BotoCoreError:
        raise StoreAway from None


class ObjectStore:
    """Files of one organisation in a bucket.

    Every method raises StoreAway where the store cannot be reached.
    """

    direct = True

    def __init__(self, bucket: Bucket, organisation: int) -> None:
        self._bucket = bucket
        self._prefix = f"{organisation}/"
        self._s3 = client_of(bucket)

    # --- sent

    def progress(self, file: UploadedFile) -> Progress:
        """Return the progress of a file."""
        chunks = range(chunks_of(file.size))
        if self._has(file):
            return Progress(listed=True, missing=())
        try:
            listed = self._list(file)
            parts = self._parts(file, listed)
        except FileNotFoundError:
            return Progress(listed=False, missing=tuple(chunks))
        missing = [number for number in chunks if number not in parts]
        return Progress(listed=True, missing=tuple(missing))

    def put_list(self, file: UploadedFile, data: bytes) -> None:
        """Store the list of a file's chunks, and begin to take its parts. Raises ListDiffers."""
        if not is_list_of(file, data):
            raise ListDiffers
        if self.progress(file).listed:
            return
        with _reached():
            begun = self._s3.create_multipart_upload(
                Bucket=self._bucket.name,
                Key=self._blob(file),
                ChecksumAlgorithm="SHA256",
            )
            self._s3.put_object(
                Bucket=self._bucket.name,
                Key=self._list_key(file),
                Body=data,
                Metadata={_UPLOAD_ID: begun["UploadId"]},
            )

    def addresses(self, file: UploadedFile, numbers: Iterable[int]) -> list[Address]:
        """Return signed addresses to which chunks are sent. Raises NoList."""
        try:
            listed = self._list(file)
        except FileNotFoundError:
            raise NoList from None
        addresses = []
        for number in numbers:
            checksum = listed.checksum(number)
            with _reached():
                url = self._s3.generate_presigned_url(
                    "upload_part",
                    Params={
                        "Bucket": self._bucket.name,
                        "Key": self._blob(file),
                        "UploadId": listed.upload,
                        "PartNumber": number + 1,
                        "ChecksumSHA256": checksum,
                        "ContentLength": chunk_size(file.size, number),
                    },
                    ExpiresIn=self._bucket.seconds,
                )
            addresses.append(Address(number, url, {"x-amz-checksum-sha256": checksum}))
        return addresses

    # --- completed

    def finish(self, file: UploadedFile) -> None:
        """Put the parts of a file together, unless one is missing.

        Raises ChunkDiffers where the result has not the declared digest; nothing of it stays.
        """
        if self._has(file):
            return
        try:
            listed = self._list(file)
            parts = self._parts(file, listed)
        except FileNotFoundError:
            return
        if len(parts) < chunks_of(file.size):
            return
        sorted_parts: list[Any] = []
        for number, tag in sorted(parts.items()):
            sorted_parts.append(
                {
                    "PartNumber": number + 1,
                    "ETag": tag,
                    "ChecksumSHA256": listed.checksum(number),
                }
            )
        with _reached():
            self._s3.complete_multipart_upload(
                Bucket=self._bucket.name,
                Key=self._blob(file),
                UploadId=listed.upload,
                MultipartUpload={"Parts": sorted_parts},
            )
        matches = self._has(file)
        with _reached():
            self._s3.delete_object(Bucket=self._bucket.name, Key=self._list_key(file))
            if not matches:
                self._s3.delete_object(Bucket=self._bucket.name, Key=self._blob(file))
        if not matches:
            raise ChunkDiffers

    def assemble(self, _upload: str, _files: Iterable[UploadedFile]) -> None:
        """Do nothing: a file is found by its digest."""

    @contextlib.contextmanager
    def reading(self, _upload: str, files: Iterable[UploadedFile]) -> Iterator[Path]:
        """Give a folder of complete files, of which those of weights have their headers only."""
        with tempfile.TemporaryDirectory() as temporary:
            for file in files:
                self._read_into(Path(temporary, file.name), file)
            yield Path(temporary)

    def _read_into(self, path: Path, file: UploadedFile) -> None:
        with path.open("wb") as opened:
            if not file.name.endswith(".safetensors"):
                for number in range(chunks_of(file.size)):
                    size = chunk_size(file.size, number)
                    chunk = self._range(file, number * CHUNK, size)
                    opened.write(chunk)
                return
            head = self._range(file, 0, min(8, file.size))
            length = int.from_bytes(head, "little")
            if length <= min(file.size - 8, MAX_HEADER_BYTES):
                opened.write(self._range(file, 0, 8 + length))
            opened.truncate(file.size)

    def _range(self, file: UploadedFile, start: int, size: int) -> bytes:
        with _reached():
            answer = self._s3.get_object(
                Bucket=self._bucket.name,
                Key=self._blob(file),
                Range=f"bytes={start}-{start + size - 1}",
            )
            return answer["Body"].read()

    # --- fetched

    def address_of(self, file: UploadedFile) -> str:
        """Return a signed address of a complete file."""
        with _reached():
            return self._s3.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket.name, "Key": self._blob(file)},
                ExpiresIn=self._bucket.seconds,
            )

    # --- deleted

    def remove(self, _upload: str, wanted: Iterable[str]) -> None:
        """Delete every file and end every multipart upload whose digest is not ``wanted``."""
        keep = set(wanted)
        with _reached():
            uploads = self._s3.get_paginator("list_multipart_uploads")
            for page in uploads.paginate(Bucket=self._bucket.name, Prefix=self._prefix):
                for begun in page.get("Uploads", []):
                    key = begun["Key"]
                    _, _, digest = key.rpartition("/")
                    if digest not in keep:
                        self._s3.abort_multipart_upload(
                            Bucket=self._bucket.name,
                            Key=key,
                            UploadId=begun["UploadId"],
                        )
            objects = self._s3.get_paginator("list_objects_v2")
            for listing in objects.paginate(Bucket=self._bucket.name, Prefix=self._prefix):
                for found in listing.get("Contents", []):
                    key = found["Key"]
                    _, _, digest = key.rpartition("/")
                    if digest not in keep:
                        self._s3.delete_object(Bucket=self._bucket.name, Key=key)

    # --- what is there

    def _blob(self, file: UploadedFile) -> str:
        return f"{self._prefix}blobs/{file.digest}"

    def _list_key(self, file: UploadedFile) -> str:
        return f"{self._prefix}lists/{file.digest}"

    def _has(self, file: UploadedFile) -> bool:
        """Return True if the complete file is here, with its size and digest by the store."""
        try:
            with _reached():
                facts = self._s3.head_object(
                    Bucket=self._bucket.name,
                    Key=self._blob(file),
                    ChecksumMode="ENABLED",
                )
        except FileNotFoundError:
            return False
        composite, _, _ = facts.get("ChecksumSHA256", "").partition("-")
        digest = bytes.fromhex(file.digest)
        declared = base64.b64encode(digest).decode()
        return facts["ContentLength"] == file.size and composite == declared

    def _list(self, file: UploadedFile) -> "_List":
        """Return the list of a file's chunks. Raises FileNotFoundError."""
        with _reached():
            found = self._s3.get_object(
                Bucket=self._bucket.name,
                Key=self._list_key(file),
            )
            digests = found["Body"].read()
            return _List(digests, found["Metadata"].get(_UPLOAD_ID, ""))

    def _parts(self, file: UploadedFile, listed: "_List") -> dict[int, str]:
        """Return the tags of the parts that are here, by number. Raises FileNotFoundError.

        A part of another size, or with another checksum where the store states it, is missing.
        """
        found = {}
        with _reached():
            pages = self._s3.get_paginator("list_parts").paginate(
                Bucket=self._bucket.name,
                Key=self._blob(file),
                UploadId=listed.upload,
            )
            for page in pages:
                for part in page.get("Parts", []):
                    number = part["PartNumber"] - 1
                    if number >= chunks_of(file.size):
                        continue
                    right_size = part["Size"] == chunk_size(file.size, number)
                    checksum = listed.checksum(number)
                    stated = part.get("ChecksumSHA256", checksum)
                    if right_size and stated == checksum:
                        found[number] = part["ETag"]
        return found


@dataclass(frozen=True)
class _List:
    """Digests of a file's chunks, and the multipart upload that takes them."""

    digests: bytes
    upload: str

    def checksum(self, number: int) -> str:
        """Return the SHA-256 of a chunk in base64."""
        start = number * DIGEST_BYTES
        return base64.b64encode(self.digests[start : start + DIGEST_BYTES]).decode()
