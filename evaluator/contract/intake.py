"""Requests to the intake program, each answered by one JSON object."""

from evaluator.contract.base import Wire
from evaluator.contract.hub import AccessToken, Bytes, HubModel, RepoId, Revision
from evaluator.contract.uploads import UploadModel


class Look(Wire, tag_field="do", tag="look", frozen=True, kw_only=True):
    """Resolve a revision and read headers and configuration, for ``HubFacts``.

    ``most`` is the largest number of bytes of files that may have to be fetched later, ``token``
    the access token of a gated repository.
    """

    repo: RepoId
    revision: Revision
    most: Bytes
    token: AccessToken = ""

    def __repr__(self) -> str:
        return f"Look({self.repo!r}, {self.revision!r})"


class Inspect(Wire, tag_field="do", tag="inspect", frozen=True, kw_only=True):
    """Read headers and configuration in a ``folder``, for ``ModelFacts``."""

    folder: str


class Fetch(Wire, tag_field="do", tag="fetch", frozen=True, kw_only=True):
    """Bring a model into the ``store`` of at most ``most`` bytes.

    ``token`` is as in :class:`Look`. ``site`` is the address from which an uploaded model is
    fetched, of no use for one on a hub.
    """

    model: HubModel | UploadModel
    store: str
    most: Bytes
    token: AccessToken = ""
    site: str = ""

    def __repr__(self) -> str:
        return f"Fetch({self.model.id!r}, {self.store!r})"
