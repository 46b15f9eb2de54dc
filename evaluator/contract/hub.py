"""Models on a hub: what a job names, and what the intake program answers.

The hub is a server that speaks the API of Hugging Face's. A revision, as a branch or a tag, may
move; everything here that is stored or sent to an evaluator names a commit.
"""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from evaluator.contract.base import SealedKeys, Wire, canonical_json

_SEGMENT = r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
RepoId = Annotated[
    str, Meta(pattern=rf"\A(?!.*(--|\.\.))(?!.*\.git\Z){_SEGMENT}/{_SEGMENT}\Z", max_length=193)
]
"""Repository as ``organisation/name``, spelled as the hub allows."""
Revision = Annotated[str, Meta(pattern=r"\A(?!.*(\.\.|//))[A-Za-z0-9][A-Za-z0-9._/-]{0,99}\Z")]
"""Branch, tag or commit."""
Commit = Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}\Z")]
FileName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\Z")]
"""Name of a file directly inside the repository. Files in folders are never fetched."""
Bytes = Annotated[int, Meta(ge=0, le=1 << 44)]
Plain = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._+-]{0,80}\Z")]
AccessToken = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{0,400}\Z")]
"""Access token of a user of the hub, in the clear: only ever on standard input."""
MOST_FILES = 2000
"""Files of one model that are fetched, at most."""


class HubFile(Wire, frozen=True, kw_only=True):
    """File at a commit.

    ``digest`` is the SHA-256 of a large file (64 digits), or the name of a small one in Git: the
    SHA-1 of its header and bytes (40 digits).
    """

    name: FileName
    size: Bytes
    digest: Annotated[str, Meta(pattern=r"\A([0-9a-f]{40}|[0-9a-f]{64})\Z")]

    def hasher(self) -> "hashlib._Hash | None":
        """Return a hash that ends with ``digest`` after this file's bytes; None for SHA-256."""
        if len(self.digest) == 64:
            return None
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


Files = Annotated[tuple[HubFile, ...], Meta(min_length=1, max_length=MOST_FILES)]


class HubModel(Wire, tag_field="kind", tag="hub", frozen=True, kw_only=True, omit_defaults=True):
    """Weights on the hub, at a commit, and the files of them that are fetched.

    ``sealed_keys`` is the access token of a gated repository, sealed as an endpoint's API key is,
    to :func:`token_binding`. Empty where the repository is public.
    """

    repo: RepoId
    commit: Commit
    files: Files
    sealed_keys: SealedKeys = msgspec.field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of its folder in an evaluator's store: the same for every token."""
        facts = self.to_dict()
        facts.pop("sealed_keys", None)
        return hashlib.sha256(canonical_json(facts)).hexdigest()[:32]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class AdapterFacts(Wire, frozen=True, kw_only=True):
    """Facts of a LoRA adapter, from its configuration and its header.

    - ``rank`` is the largest of its matrices', ``modules`` counts the matrices that it changes.
    - ``named`` and ``named_revision`` are the base model by its configuration, empty for none.
    - ``base`` is the base model that was read, None where that is no model on a hub.
    """

    rank: Annotated[int, Meta(ge=1, le=1 << 20)]
    modules: Annotated[int, Meta(ge=1, le=1 << 20)]
    named: Annotated[str, Meta(max_length=193)] = ""
    named_revision: Annotated[str, Meta(max_length=100)] = ""
    base: "HubFacts | None" = None


class ModelFacts(Wire, frozen=True, kw_only=True):
    """Facts of a model, read from its headers and configuration alone.

    - ``parameters`` counts the model's numbers after unpacking, ``weights`` their bytes as stored.
    - ``cached`` are the numbers that attention caches for each token, ``context`` is in tokens.
    - ``heads``, attention heads, are what several GPUs divide among them; None in a record from
      before the field.
    - ``types`` are the types of the tensors, as safetensors names them, by bytes, largest first.
    - ``quantisation`` is the method by which weights are packed, empty for none.
    - ``chat``: there is a chat template.
    - ``licence`` is that of the repository's card, empty where it names none.
    - ``adapter`` is there for an adapter. Everything else but the licence is then of the model that
      it makes of its base.
    """

    architecture: Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z")]
    parameters: Annotated[int, Meta(ge=1, le=1 << 60)]
    weights: Bytes
    cached: Annotated[int, Meta(ge=0, le=1 << 60)]
    context: Annotated[int, Meta(ge=1, le=1 << 40)]
    heads: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    types: Annotated[tuple[Plain, ...], Meta(max_length=20)] = ()
    quantisation: Plain = ""
    chat: bool
    licence: Plain = ""
    adapter: AdapterFacts | None = None


class HubFacts(ModelFacts, frozen=True, kw_only=True):
    """Answer of the intake program about a model on a hub.

    ``endpoint`` is the hub's address, without a final slash.
    """

    endpoint: Annotated[str, Meta(pattern=r"\Ahttps?://[^\s\"'<>]{1,200}\Z")]
    repo: RepoId
    revision: Revision
    commit: Commit
    files: Files

    @property
    def model(self) -> HubModel:
        """The part of it that a job names."""
        return HubModel(
            repo=self.repo,
            commit=self.commit,
            files=self.files,
        )

    @property
    def page(self) -> str:
        """Address of the commit on the hub, for people."""
        return f"{self.endpoint}/{self.repo}/tree/{self.commit}"


DEFAULT_REVISION = "main"


def is_repo(text: str) -> bool:
    """Return True for ``organisation/name``."""
    return _fits(text, RepoId)


def is_token(text: str) -> bool:
    """Return True for a text that can be an access token."""
    return bool(text) and _fits(text, AccessToken)


def token_binding(repo: str) -> str:
    """Return the text that an access token is sealed to: it opens for no other repository."""
    return f"hub:{repo}"


def is_revision(text: str) -> bool:
    """Return True for a text that can be a branch, a tag or a commit."""
    return _fits(text, Revision)


def split_revision(repo: str, revision: str) -> tuple[str, str]:
    """Return repository and revision, where both may have been given as ``repo@revision``.

    A repository with another revision than ``revision`` is returned as it is: it is no valid name.
    """
    name, at, named = repo.strip().partition("@")
    if at and revision.strip() in ("", named):
        return name, named
    return repo.strip(), revision.strip()


def _fits(text: str, kind: object) -> bool:
    try:
        msgspec.convert(text, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True
