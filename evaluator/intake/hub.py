"""The hub's API, by ``huggingface_hub``, through a transport that checks every address.

- The operator chooses the hub (``HF_ENDPOINT``), which may stand in a private network.
- Variables about proxies and tokens of this machine are ignored, and so is the Xet protocol, whose
  client would make connections of its own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

# Read by the client when it is imported.
os.environ.update(
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_IMPLICIT_TOKEN="1",  # noqa: S106 - a switch
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)

import httpx
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._http import hf_raise_for_status

from evaluator import addresses
from evaluator.artefacts import selection
from evaluator.contract import fits
from evaluator.contract.hub import Commit, FileName, HubFile, Plain
from evaluator.errors import (
    Code,
    EvaluatorError,
    error,
    host_error,
    is_host_error,
)
from evaluator.intake.connections import API_SECONDS, client_of

constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # a broken connection loses the chunk it is in


@dataclass(frozen=True)
class Repository:
    """Repository at a commit: the files directly inside it, by name, and its card's licence."""

    commit: str
    listing: Mapping[str, HubFile]
    licence: str


@dataclass(frozen=True)
class Hub:
    """A hub at an address, as one caller with a ``token`` or none sees it."""

    endpoint: str
    token: str = field(default="", repr=False)

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        *,
        token: str = "",
    ) -> "Hub":
        """Return the hub that HF_ENDPOINT names, the library's default without it.

        Raises ``misconfigured``.
        """
        endpoint = environ.get("HF_ENDPOINT") or constants.ENDPOINT
        endpoint = endpoint.rstrip("/")
        try:
            addresses.check(endpoint, allow_private=True)
        except EvaluatorError:
            raise error(Code.MISCONFIGURED, "HF_ENDPOINT is not an address") from None
        set_client_factory(lambda: client_of(endpoint))
        return cls(endpoint, token)

    def repository(self, repo: str, revision: str) -> Repository:
        """Resolve a revision and list the files of the repository. Raises the HUB_* codes."""
        api = HfApi(endpoint=self.endpoint, token=self.token or False)
        try:
            info = api.model_info(repo, revision=revision, files_metadata=True, timeout=API_SECONDS)
        except Exception as failure:  # noqa: BLE001 - the client raises whatever a hub provokes
            raise hub_error(failure) from None
        if not fits(info.sha, Commit):
            raise error(Code.HUB_FAILED, "no commit")
        siblings = list(info.siblings or ())
        selection.check_names([str(sibling.rfilename) for sibling in siblings])
        listing: dict[str, HubFile] = {}
        for sibling in siblings:
            if not fits(sibling.rfilename, FileName):
                continue
            file = _file(sibling)
            if file is not None:
                listing[file.name] = file
        named = getattr(info.card_data, "license", None)
        licence = str(named or "")
        if not fits(licence, Plain):
            licence = ""
        return Repository(str(info.sha), listing, licence)

    def read(
        self,
        repo: str,
        commit: str,
        file: HubFile,
        *,
        most: int,
    ) -> bytes:
        """Return the first ``most`` bytes of a file, or all of it. Raises the HUB_* codes."""
        if not file.size:
            return b""
        most = min(most, file.size)
        headers = self._headers() | {"Range": f"bytes=0-{most - 1}"}
        try:
            address = self._address(repo, commit, file)
            request = get_session().stream("GET", address, headers=headers, timeout=API_SECONDS)
            with request as response:
                hf_raise_for_status(response)
                data = b""
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) >= most:
                        return data[:most]
                raise httpx.RemoteProtocolError("cut short")
        except Exception as failure:  # noqa: BLE001 - as above
            raise hub_error(failure) from None

    def download(
        self,
        repo: str,
        commit: str,
        file: HubFile,
        to: BinaryIO,
        *,
        start: int,
    ) -> None:
        """Append a file's bytes from ``start``. Raises the HUB_* codes."""
        try:
            http_get(
                self._address(repo, commit, file),
                to,
                resume_size=start,
                headers=self._headers(),
                _nb_retries=1,
            )
        except Exception as failure:  # noqa: BLE001 - as above
            raise hub_error(failure) from None

    def _address(self, repo: str, commit: str, file: HubFile) -> str:
        return hf_hub_url(repo, file.name, revision=commit, endpoint=self.endpoint)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def hub_error(failure: BaseException) -> EvaluatorError:
    """Return the error of the engine for one of the client's, whose text is not used."""
    if isinstance(failure, EvaluatorError):
        return failure
    if isinstance(failure, OSError) and is_host_error(failure):
        return host_error(failure)
    for kind, code in _CODES:
        if isinstance(failure, kind):
            return error(code)
    if isinstance(failure, HfHubHTTPError | httpx.HTTPStatusError):
        status = failure.response.status_code
        is_away = status >= httpx.codes.INTERNAL_SERVER_ERROR
        other = Code.HUB_UNREACHABLE if is_away else Code.HUB_FAILED
        code, detail = _STATUSES.get(status, (other, f"status {status}"))
        return error(code, detail)
    if isinstance(failure, httpx.HTTPError | httpx.InvalidURL | OSError):
        return error(Code.HUB_UNREACHABLE)
    return error(Code.HUB_FAILED, type(failure).__name__)


_CODES: tuple[tuple[type[BaseException], Code], ...] = (
    (GatedRepoError, Code.HUB_GATED),  # before its base class
    (RevisionNotFoundError, Code.HUB_REVISION_GONE),
    (RepositoryNotFoundError, Code.HUB_NOT_FOUND),
    (DisabledRepoError, Code.HUB_NOT_FOUND),
    (MemoryError, Code.HUB_BAD_FILES),
)


_STATUSES: Mapping[int, tuple[Code, str]] = {
    httpx.codes.TOO_MANY_REQUESTS: (Code.HUB_RATE_LIMITED, ""),
    httpx.codes.UNAUTHORIZED: (Code.HUB_NOT_FOUND, ""),
    httpx.codes.NOT_FOUND: (Code.HUB_NOT_FOUND, ""),
    httpx.codes.GONE: (Code.HUB_NOT_FOUND, ""),
    httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE: (Code.HUB_FILE_DIFFERS, "shorter than declared"),
    httpx.codes.FORBIDDEN: (Code.HUB_GATED, ""),
}
"""Codes and details of errors by the status of the answer."""


def _file(sibling: Any) -> HubFile | None:
    """Return a file of the listing; None where the hub gives no size or no hash of it."""
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    facts = {
        "name": sibling.rfilename,
        "size": sibling.size,
        "digest": digest,
    }
    if not fits(facts, HubFile):
        return None
    return HubFile.from_dict(facts)
