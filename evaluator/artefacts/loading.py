"""Facts that the start of an engine depends on. Nothing of the checkpoint is run."""

from dataclasses import dataclass
from pathlib import Path

from evaluator.artefacts.chat import chat_template
from evaluator.artefacts.config import LANGUAGE_MODELS, VERIFIERS, read_architecture, read_config
from evaluator.artefacts.quantised import method_of
from evaluator.artefacts.sizes import Sizes, sizes_of
from evaluator.artefacts.weights import read_shards, served_files
from evaluator.errors import Code, error


@dataclass(frozen=True, slots=True)
class Loading:
    """Facts for the start of an engine.

    ``quantisation`` is the method by which weights are packed, empty for none. ``chat``: there is a
    chat template. ``served``: names of the files that an engine may see.
    """

    sizes: Sizes
    quantisation: str
    chat: bool
    served: tuple[str, ...]


def read_loading(folder: Path, *, verifier: bool = False) -> Loading:
    """Return the facts of a checkpoint, of a language model or of a ``verifier``.

    Raises CHECKPOINT_*; ``inspect_checkpoint`` checks more.
    """
    endings = VERIFIERS if verifier else LANGUAGE_MODELS
    try:
        architecture = read_architecture(folder, endings)
        config = read_config(folder / "config.json")
        shards = read_shards(folder).values()
        served = tuple(path.name for path in served_files(folder))
        chat = chat_template(folder) is not None
    except OSError:
        raise error(Code.CHECKPOINT_BAD_FILE) from None
    sizes = sizes_of(architecture, config, shards)
    return Loading(sizes, method_of(config), chat, served)


def read_sizes(folder: Path, *, verifier: bool = False) -> Sizes:
    """Return the sizes alone. Raises as :func:`read_loading`."""
    return read_loading(folder, verifier=verifier).sizes
