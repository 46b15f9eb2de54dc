"""Fetch: bring a model from the hub or the site into the store of an evaluator."""

from pathlib import Path
from typing import BinaryIO

from evaluator.contract import HubModel, UploadModel
from evaluator.contract.hub import HubFile
from evaluator.contract.uploads import UploadedFile
from evaluator.errors import EvaluatorError
from evaluator.intake.hub import Hub
from evaluator.intake.site import Site, of_uploads
from evaluator.intake.store import Store


def fetch_from_hub(model: HubModel, store: Store, hub: Hub) -> Path:
    """Bring a model into the store, and return its folder there. Raises as ``Store.bring``."""

    def download(file: HubFile, to: BinaryIO, start: int) -> None:
        hub.download(model.repo, model.commit, file, to, start=start)

    return store.bring(model, download)


def fetch_from_site(model: UploadModel, store: Store, site: Site) -> Path:
    """Bring a model into the store, and return its folder there.

    Raises the UPLOAD_* codes, and as ``Store.bring``.
    """

    def download(file: UploadedFile, to: BinaryIO, start: int) -> None:
        site.download(model, file, to, start)

    try:
        return store.bring(model, download)
    except EvaluatorError as failure:
        raise of_uploads(failure) from None
