"""Requests to the intake program, each answered by one JSON object."""

from typing import Annotated

from msgspec import Meta

from evaluator.contract.adapters import Base
from evaluator.contract.base import Wire
from evaluator.contract.hub import (
    MOST_FILES,
    AccessToken,
    AdapterFacts,
    Bytes,
    HubFile,
    HubModel,
    ModelFacts,
    RepoId,
    Revision,
)
from evaluator.contract.probes import MOST_PROMPT
from evaluator.contract.uploads import UploadModel


class Look(Wire, tag_field="do", tag="look", frozen=True, kw_only=True):
    """Resolve a revision and read headers and configuration, for ``HubFacts``.

    ``most`` is the largest number of bytes of files that may have to be fetched later, ``token``
    the access token of a gated repository. ``base`` is the base model of an adapter, by default the
    one that its configuration names. A ``verifier`` scores another model's candidates, and is no
    adapter.
    """

    repo: RepoId
    revision: Revision
    most: Bytes
    token: AccessToken = ""
    base: Base | None = None
    verifier: bool = False

    def __repr__(self) -> str:
        return f"Look({self.repo!r}, {self.revision!r})"


class Inspect(Wire, tag_field="do", tag="inspect", frozen=True, kw_only=True):
    """Read headers and configuration in a ``folder``, for :class:`Inspected`.

    An adapter without a ``base`` is read alone. ``most`` and ``token`` are as in :class:`Look`, for
    a base on the hub.
    """

    folder: str
    base: Base | None = None
    most: Bytes = 0
    token: AccessToken = ""

    def __repr__(self) -> str:
        return f"Inspect({self.folder!r})"


class Inspected(Wire, frozen=True, kw_only=True):
    """Facts of the model in a folder. Of an adapter that was read alone, there is no model."""

    model: ModelFacts | None = None
    adapter: AdapterFacts | None = None


class Preview(Wire, tag_field="do", tag="preview", frozen=True, kw_only=True):
    """Render the first prompt of a model, for ``PromptFacts``.

    The model is in a ``folder``, or the ``files`` of a repository at a commit. ``text`` is the
    prompt of a public item: with ``chat`` the one message that the template renders. ``special``:
    the tokenizer puts its special tokens around a text.
    """

    text: Annotated[str, Meta(max_length=MOST_PROMPT)]
    chat: bool
    special: bool
    folder: str = ""
    repo: str = ""
    commit: str = ""
    files: Annotated[tuple[HubFile, ...], Meta(max_length=MOST_FILES)] = ()
    token: AccessToken = ""

    def __repr__(self) -> str:
        return f"Preview({self.repo!r}, {self.commit!r})"


class Fetch(Wire, tag_field="do", tag="fetch", frozen=True, kw_only=True):
    """Bring a model into the ``store`` of at most ``most`` bytes.

    ``token`` is as in :class:`Look`. ``site`` is the address from which an uploaded model is
    fetched, ``uploads`` that of the object store to which the site may lead, empty for none. Both
    are of no use for a model on a hub.
    """

    model: HubModel | UploadModel
    store: str
    most: Bytes
    token: AccessToken = ""
    site: str = ""
    uploads: str = ""

    def __repr__(self) -> str:
        return f"Fetch({self.model.id!r}, {self.store!r})"
