"""Adapters: the facts of the model that an adapter makes of its base, from headers alone."""

import tempfile
from pathlib import Path

import msgspec

from evaluator.artefacts.adapters import (
    check_base,
    combined,
    is_adapter,
    read_adapter,
    weights_of,
)
from evaluator.contract.adapters import Base, BaseInFolder, BaseOnHub
from evaluator.contract.hub import DEFAULT_REVISION, HubFacts, ModelFacts
from evaluator.errors import Code, EvaluatorError, error
from evaluator.intake.headers import RemoteModel, facts_of
from evaluator.intake.hub import Hub

_OF_BASE = {
    Code.HUB_NOT_FOUND: Code.CHECKPOINT_ADAPTER_BASE_GONE,
    Code.HUB_REVISION_GONE: Code.CHECKPOINT_ADAPTER_BASE_GONE,
    Code.HUB_GATED: Code.CHECKPOINT_ADAPTER_BASE_GATED,
    Code.CHECKPOINT_ADAPTER: Code.CHECKPOINT_ADAPTER_STACKED,
}


def merged_facts(folder: Path, base: Base | None, hub: Hub, most: int) -> ModelFacts:
    """Return the facts of the model that the adapter in a folder makes of its base.

    Raises the CHECKPOINT_* codes, those of the base with a detail that says so, and the HUB_* ones.
    """
    adapter = read_adapter(folder)
    if base is None:
        if not adapter.named:
            raise error(Code.CHECKPOINT_ADAPTER_NO_BASE)
        base = BaseOnHub(repo=adapter.named, revision=adapter.named_revision or DEFAULT_REVISION)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary, "base")
        try:
            own, place = _read_base(base, hub, place, most)
            check_base(adapter, place)
        except EvaluatorError as failure:
            raise _of_base(failure) from None
        facts = facts_of(_merged(place, folder, Path(temporary, "merged")))
    read = msgspec.structs.replace(adapter.facts(), base=own)
    return msgspec.structs.replace(facts, adapter=read)


def _read_base(base: Base, hub: Hub, place: Path, most: int) -> tuple[HubFacts | None, Path]:
    """Return the facts of a base on the hub, and the folder with the headers of any base."""
    if isinstance(base, BaseInFolder):
        place = Path(base.folder)
        if is_adapter(path.name for path in place.iterdir()):
            raise error(Code.CHECKPOINT_ADAPTER_STACKED)
        return None, place
    model = RemoteModel.resolve(hub, base.repo, base.revision)
    place.mkdir()
    files = model.read(place, most)
    return model.facts(files, facts_of(place)), place


def _merged(base: Path, adapter: Path, place: Path) -> Path:
    """Link the files of the merged model into a folder, and return it."""
    place.mkdir()
    for name, path in (combined(base, adapter) | weights_of(base)).items():
        (place / name).symlink_to(path.absolute())
    return place


def _of_base(failure: EvaluatorError) -> EvaluatorError:
    """Return the error of a base: it names the base where the code does not."""
    if code := _OF_BASE.get(failure.code):
        return error(code, failure.detail)
    named = failure.code.startswith("checkpoint_adapter") or "base" in failure.detail
    if failure.code.startswith("checkpoint_") and not named:
        return error(failure.code, f"the base model {failure.detail}".rstrip())
    return failure
