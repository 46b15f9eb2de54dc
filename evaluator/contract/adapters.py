"""LoRA adapters: small matrices that are added to those of a base model."""

import hashlib
import re
from typing import Annotated

from msgspec import Meta

from evaluator.contract.base import RunId, Wire, canonical_json
from evaluator.contract.hub import (
    AdapterFacts,
    HubModel,
    RepoId,
    Revision,
    is_repo,
    is_revision,
)
from evaluator.contract.uploads import UploadedFiles, UploadModel

_UPLOAD = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AdapterModel(Wire, tag_field="kind", tag="adapter", frozen=True, kw_only=True):
    """Adapter and its base model, which the evaluator merges before it inspects the result."""

    adapter: HubModel | UploadModel
    base: HubModel | UploadModel

    @property
    def id(self) -> str:
        """Digest of both by their files."""
        ids = canonical_json([self.adapter.id, self.base.id])
        return hashlib.sha256(ids).hexdigest()[:32]

    @property
    def size(self) -> int:
        """Bytes of all files of both."""
        return self.adapter.size + self.base.size


class UploadedAdapter(Wire, frozen=True, kw_only=True):
    """Uploaded adapter alone, and its files. Its base is chosen when it is submitted."""

    upload: RunId
    files: UploadedFiles
    adapter: AdapterFacts

    @property
    def model(self) -> UploadModel:
        """The part of it that a job names."""
        return UploadModel(upload=self.upload, files=self.files)


class BaseOnHub(Wire, tag_field="kind", tag="hub", frozen=True, kw_only=True):
    """Base model by its repository and revision."""

    repo: RepoId
    revision: Revision


class BaseInFolder(Wire, tag_field="kind", tag="folder", frozen=True, kw_only=True):
    """Base model in a folder, as that of an upload."""

    folder: Annotated[str, Meta(min_length=1, max_length=4096)]


Base = BaseOnHub | BaseInFolder


def base_upload(text: str) -> str:
    """Return the upload that an author states as a base, empty for a repository."""
    return text if _UPLOAD.fullmatch(text) else ""


def is_base(text: str) -> bool:
    """Return True for ``organisation/name``, ``organisation/name@revision``, or an upload's id."""
    if base_upload(text):
        return True
    repo, at, revision = text.partition("@")
    if not is_repo(repo):
        return False
    return not at or is_revision(revision)
