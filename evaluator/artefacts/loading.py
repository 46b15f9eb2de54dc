"""Facts that an engine's start depends on, read without running anything of the checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from evaluator.artefacts.chat import chat_template
from evaluator.artefacts.config import read_architecture, read_config
from evaluator.artefacts.quantised import method_of
from evaluator.artefacts.sizes import Sizes, sizes_of
from evaluator.artefacts.weights import read_shards, served_files
from evaluator.errors import Code, error


@dataclass(frozen=True, slots=True)
class Loading:
    """``quantisation`` is the method by which weights are packed, empty for none; ``chat``: a chat template is there;
    ``served``: the names of the files that an engine may see."""

    sizes: Sizes
    quantisation: str
    chat: bool
    served: tuple[str, ...]


def read_loading(folder: Path) -> Loading:
    """Read them. Raises the CHECKPOINT_* codes; ``inspect_checkpoint`` checks more."""
    try:
        architecture = read_architecture(folder)
        config = read_config(folder / "config.json")
        shards = read_shards(folder).values()
        served = tuple(path.name for path in served_files(folder))
        chat = chat_template(folder) is not None
    except OSError:
        raise error(Code.CHECKPOINT_BAD_FILE) from None
    return Loading(sizes_of(architecture, config, shards), method_of(config), chat, served)


def read_sizes(folder: Path) -> Sizes:
    """The memory alone. Raises as above."""
    return read_loading(folder).sizes
