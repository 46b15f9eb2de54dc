"""Look: facts of a model, from its headers and configuration alone.

Of a model on the hub the small files and the headers of the weights are read by range requests into
a temporary folder. Files of weights there have their declared size, but are empty behind their
headers, so that the readers of :mod:`evaluator.artefacts` judge them as they judge a folder.
"""

import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from evaluator.artefacts import selection
from evaluator.artefacts.config import MAX_TOKENIZER_BYTES, check_other_configs
from evaluator.artefacts.loading import read_loading
from evaluator.artefacts.safetensors import MAX_HEADER_BYTES
from evaluator.artefacts.weights import SINGLE, indexed_files, read_shards
from evaluator.contract.hub import HubFacts, HubFile, ModelFacts
from evaluator.contract.intake import Look
from evaluator.errors import Code, error
from evaluator.intake.hub import Hub

FIRST_BYTES = 256 << 10
"""Bytes of a file of weights that are read at first. Most headers are shorter."""
AT_ONCE = 8
"""Connections."""
_ONLY_FETCHED = frozenset({"tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model"})
"""Large files that a look does not read."""


def look(order: Look, hub: Hub) -> HubFacts:
    """Return the facts of a model. Raises the HUB_* and CHECKPOINT_* codes."""
    repository = hub.repository(order.repo, order.revision)
    others = selection.others(repository.listing)
    if repository.listing["tokenizer.json"].size > MAX_TOKENIZER_BYTES:
        raise error(Code.CHECKPOINT_BAD_CONFIG, "tokenizer.json")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bring = partial(_bring, hub, order.repo, repository.commit, folder)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(bring, [file for file in others if file.name not in _ONLY_FETCHED]))
            index = indexed_files(folder)
            names = [SINGLE] if index is None else sorted(set(index))
            shards = selection.shards(repository.listing, names)
            selection.check_size([*others, *shards], order.most)
            list(pool.map(bring, shards))
        facts = facts_of(folder).to_dict() | {"licence": repository.licence}
        return HubFacts(
            endpoint=hub.endpoint,
            repo=order.repo,
            revision=order.revision,
            commit=repository.commit,
            files=(*others, *shards),
            **facts,
        )


def _bring(hub: Hub, repo: str, commit: str, folder: Path, file: HubFile) -> None:
    """Read a small file, or the header of a file of weights, into the folder."""
    path = folder / file.name
    if not file.name.endswith(".safetensors"):
        path.write_bytes(hub.read(repo, commit, file, most=file.size))
        return
    head = hub.read(repo, commit, file, most=FIRST_BYTES)
    length = 8 + int.from_bytes(head[:8], "little")
    if len(head) < length <= min(file.size, 8 + MAX_HEADER_BYTES):
        head = hub.read(repo, commit, file, most=length)
    with path.open("wb") as opened:
        opened.write(head[:length])
        opened.truncate(file.size)


def facts_of(folder: Path) -> ModelFacts:
    """Return the facts of the model in a folder. Raises the CHECKPOINT_* codes."""
    check_other_configs(folder)
    loading = read_loading(folder)
    bytes_of: Counter[str] = Counter()
    for shard in read_shards(folder).values():
        for tensor in shard.entries.values():
            bytes_of[tensor.dtype] += tensor.end - tensor.begin
    sizes = loading.sizes
    return ModelFacts(
        architecture=sizes.architecture,
        parameters=sizes.parameters,
        weights=sizes.weights,
        cached=sizes.cached,
        context=sizes.context,
        types=tuple(name for name, _ in bytes_of.most_common()),
        quantisation=loading.quantisation,
        chat=loading.chat,
    )
