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
        revision = adapter.named_revision or DEFAULT_REVISION
        base = BaseOnHub(repo=adapter.named, revision=revision)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary, "base")
        try:
            own: HubFacts | None = None
            if isinstance(base, BaseInFolder):
                place = Path(base.folder)
                if is_adapter(path.name for path in place.iterdir()):
                    raise error(Code.CHECKPOINT_ADAPTER_STACKED)
            else:
                model = RemoteModel.resolve(hub, base.repo, base.revision)
                place.mkdir()
                files = model.read(place, most)
                own = model.facts(files, facts_of(place))
            check_base(adapter, place)
        except EvaluatorError as failure:
            raise _of_base(failure) from None
        merged = Path(temporary, "merged")
        merged.mkdir()
        files_of_merged = combined(place, folder)
        files_of_merged |= weights_of(place)
        for name, path in files_of_merged.items():
            link = merged / name
            link.symlink_to(path.absolute())
        facts = facts_of(merged)
    read = msgspec.structs.replace(adapter.facts(), base=own)
    return msgspec.structs.replace(facts, adapter=read)


def _of_base(failure: EvaluatorError) -> EvaluatorError:
    """Return the error of a base: it names the base where the code does not."""
    code = _OF_BASE.get(failure.code)
    if code:
        return error(code, failure.detail)
    of_checkpoint = failure.code.startswith("checkpoint_")
    of_adapter = failure.code.startswith("checkpoint_adapter")
    names_base = of_adapter or "base" in failure.detail
    if of_checkpoint and not names_base:
        return error(failure.code, f"the base model {failure.detail}".rstrip())
    return failure
