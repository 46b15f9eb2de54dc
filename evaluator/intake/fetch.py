"""Fetch: bring a model from the hub into the store of an evaluator."""

from pathlib import Path
from typing import BinaryIO

from evaluator.contract.hub import Fetch, HubFile
from evaluator.intake.hub import Hub
from evaluator.intake.store import Store


def fetch(order: Fetch, hub: Hub) -> Path:
    """Bring a model into the store, and return its folder there. Raises as ``Store.bring``."""
    model = order.model

    def download(file: HubFile, to: BinaryIO, start: int) -> None:
        hub.download(model.repo, model.commit, file, to, start=start)

    return Store(Path(order.store), order.most).bring(model, download)
