"""Look: facts of a model, from its headers and configuration alone."""

import tempfile
from pathlib import Path

from evaluator.artefacts.adapters import is_adapter, read_adapter
from evaluator.artefacts.config import CLASSIFIERS, LANGUAGE_MODELS, read_architecture
from evaluator.contract.hub import HubFacts
from evaluator.contract.intake import Inspect, Inspected, Look
from evaluator.errors import Code, error
from evaluator.intake.adapters import merged_facts
from evaluator.intake.headers import RemoteModel, facts_of
from evaluator.intake.hub import Hub


def look(order: Look, hub: Hub) -> HubFacts:
    """Return the facts of a model on the hub. Raises the HUB_* and CHECKPOINT_* codes."""
    model = RemoteModel.resolve(hub, order.repo, order.revision)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if is_adapter(model.repository.listing) and not order.verifier:
            files = model.read_adapter(folder, order.most)
            facts = merged_facts(folder, order.base, hub, order.most)
        else:
            files = model.read(folder, order.most)
            _refuse_base(order)
            facts = facts_of(folder, verifier=order.verifier)
        return model.facts(files, facts)


def inspect(order: Inspect, hub: Hub) -> Inspected:
    """Return the facts of a model or a verifier in a folder, or of an adapter alone.

    Raises as above.
    """
    folder = Path(order.folder)
    if not is_adapter(path.name for path in folder.iterdir()):
        _refuse_base(order)
        architecture = read_architecture(folder, LANGUAGE_MODELS + CLASSIFIERS)
        return Inspected(model=facts_of(folder, verifier=architecture.endswith(CLASSIFIERS)))
    if order.base is None:
        return Inspected(adapter=read_adapter(folder).facts())
    return Inspected(model=merged_facts(folder, order.base, hub, order.most))


def _refuse_base(order: Look | Inspect) -> None:
    """Refuse a base for a model that is no adapter."""
    if order.base is not None:
        raise error(Code.CHECKPOINT_ADAPTER_NONE)
