"""Uploaded files, fetched from the site in the chunks in which they came.

The site answers with a chunk, or leads to a signed address of the file in an object store, of which
the same range is the chunk. The ticket stays with the site: it is not sent to another host.
"""

from typing import BinaryIO

import httpx

from evaluator import addresses
from evaluator.contract.uploads import CHUNK, UploadedFile, UploadModel, chunk_size, chunks_of
from evaluator.errors import Code, EvaluatorError, error
from evaluator.intake.connections import client_of

_REFUSED = frozenset({401, 403, 404, 410})
_CODES = {
    Code.HUB_UNREACHABLE: Code.UPLOAD_UNREACHABLE,
    Code.HUB_REDIRECTED: Code.UPLOAD_UNREACHABLE,
    Code.HUB_FILE_DIFFERS: Code.UPLOAD_DIFFERS,
}


class Site:
    """Site and object store at addresses of the operator's, which may stand in a private network.

    ``uploads`` is empty where there is no such store.
    """

    def __init__(self, address: str, uploads: str = "") -> None:
        self._address = address.rstrip("/")
        own = [self._address]
        if uploads:
            own.append(uploads)
        for place in own:
            try:
                addresses.check(place, allow_private=True)
            except EvaluatorError:
                named = "HOLDFAST_SITE" if place == self._address else "HOLDFAST_S3_ENDPOINT"
                raise error(Code.MISCONFIGURED, f"{named} is not an address") from None
        self._client = client_of(*own)

    def download(
        self,
        model: UploadModel,
        file: UploadedFile,
        to: BinaryIO,
        start: int,
    ) -> None:
        """Append a file's bytes from ``start``.

        Raises HUB_UNREACHABLE, after which the store tries again, and UPLOAD_GONE.
        """
        first = start // CHUNK
        for number in range(first, chunks_of(file.size)):
            data = self._chunk(model, file, number)
            if number == first:
                data = data[start % CHUNK :]
            to.write(data)

    def _chunk(self, model: UploadModel, file: UploadedFile, number: int) -> bytes:
        address = f"{self._address}/api/v1/uploads/{model.upload}/files/{file.name}/chunks/{number}"
        size = chunk_size(file.size, number)
        start = number * CHUNK
        headers = {
            "Authorization": f"Ticket {model.ticket}",
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{start + size - 1}",
        }
        try:
            with self._client.stream("GET", address, headers=headers) as response:
                if response.status_code in _REFUSED:
                    raise error(Code.UPLOAD_GONE, f"status {response.status_code}")
                response.raise_for_status()
                data = bytearray()
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > size:
                        raise error(Code.HUB_FILE_DIFFERS, "longer than declared")
                if len(data) < size:
                    raise httpx.RemoteProtocolError("cut short")
                return bytes(data)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise error(Code.HUB_UNREACHABLE) from None


def of_uploads(failure: EvaluatorError) -> EvaluatorError:
    """Return the error of an upload for one of the store's or the connection's."""
    code = _CODES.get(failure.code)
    return error(code, failure.detail) if code else failure
