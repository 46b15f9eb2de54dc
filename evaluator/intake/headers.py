"""Headers and configuration of a model on a hub, read by range requests into a folder.

Files of weights there have their declared size, but are empty behind their headers, so that the
readers of :mod:`evaluator.artefacts` judge them as they judge a folder.
"""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evaluator.artefacts import selection
from evaluator.artefacts.config import MAX_TOKENIZER_BYTES, check_other_configs
from evaluator.artefacts.loading import read_loading
from evaluator.artefacts.safetensors import MAX_HEADER_BYTES
from evaluator.artefacts.weights import SINGLE, indexed_files, read_shards
from evaluator.contract.hub import HubFacts, HubFile, ModelFacts
from evaluator.errors import Code, error
from evaluator.intake.hub import Hub, Repository

FIRST_BYTES = 256 << 10
"""Bytes of a file of weights that are read at first. Most headers are shorter."""
AT_ONCE = 8
"""Connections."""
MAX_HEADS = 1 << 20
"""Attention heads that facts can state: more are a mistake, and no GPUs divide them."""
_ONLY_FETCHED = frozenset({"tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model"})
"""Large files that a look does not read: they are empty in the folder."""


@dataclass(frozen=True)
class RemoteModel:
    """Repository on a hub at a revision, resolved to a commit."""

    hub: Hub
    repo: str
    revision: str
    repository: Repository

    @classmethod
    def resolve(cls, hub: Hub, repo: str, revision: str) -> "RemoteModel":
        """Resolve a revision and list the repository. Raises the HUB_* codes."""
        return cls(hub, repo, revision, hub.repository(repo, revision))

    def read(self, folder: Path, most: int) -> list[HubFile]:
        """Read a whole model's headers, and return the files that are to be fetched.

        Raises the HUB_* and CHECKPOINT_* codes.
        """
        listing = self.repository.listing
        others = selection.others(listing)
        self._bring(others, folder)
        index = indexed_files(folder)
        names = [SINGLE] if index is None else sorted(set(index))
        shards = selection.shards(listing, names)
        selection.check_size([*others, *shards], most)
        self._bring(shards, folder)
        return [*others, *shards]

    def read_adapter(self, folder: Path, most: int) -> list[HubFile]:
        """Read an adapter's headers, and return the files to be fetched. Raises as above."""
        files = selection.adapter_files(self.repository.listing)
        selection.check_size(files, most)
        self._bring(files, folder)
        return files

    def facts(self, files: Iterable[HubFile], facts: ModelFacts) -> HubFacts:
        """Return the facts of a model that was read here."""
        own = msgspec.structs.asdict(facts)
        own["licence"] = self.repository.licence
        return HubFacts(
            endpoint=self.hub.endpoint,
            repo=self.repo,
            revision=self.revision,
            commit=self.repository.commit,
            files=tuple(files),
            **own,
        )

    def _bring(self, files: Iterable[HubFile], folder: Path) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda file: self._bring_one(file, folder), files))

    def _bring_one(self, file: HubFile, folder: Path) -> None:
        """Read a small file, or the header of a file of weights, into the folder."""
        path = folder / file.name
        is_large = file.size > MAX_TOKENIZER_BYTES
        if file.name == "tokenizer.json" and is_large:
            raise error(Code.CHECKPOINT_BAD_CONFIG, file.name)
        if file.name in _ONLY_FETCHED:
            path.touch()
            return
        if not file.name.endswith(".safetensors"):
            content = self._read(file, file.size)
            path.write_bytes(content)
            return
        head = self._read(file, FIRST_BYTES)
        length = 8 + int.from_bytes(head[:8], "little")
        if len(head) < length <= min(file.size, 8 + MAX_HEADER_BYTES):
            head = self._read(file, length)
        with path.open("wb") as opened:
            opened.write(head[:length])
            opened.truncate(file.size)

    def _read(self, file: HubFile, most: int) -> bytes:
        commit = self.repository.commit
        return self.hub.read(self.repo, commit, file, most=most)


def facts_of(folder: Path, *, verifier: bool = False) -> ModelFacts:
    """Return the facts of the model in a folder, or of a ``verifier``.

    Raises the CHECKPOINT_* codes.
    """
    check_other_configs(folder)
    loading = read_loading(folder, verifier=verifier)
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
        heads=min(sizes.heads, MAX_HEADS),
        types=tuple(name for name, _ in bytes_of.most_common()),
        quantisation=loading.quantisation,
        chat=loading.chat,
    )
