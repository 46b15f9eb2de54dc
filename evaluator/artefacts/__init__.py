"""Readers of submitted checkpoints; they run nothing. Shared with the site: no torch here."""

from evaluator.artefacts.checkpoint import CheckpointFacts, FileFacts, inspect_checkpoint
from evaluator.artefacts.loading import Loading, read_loading, read_sizes
from evaluator.artefacts.sizes import Sizes

__all__ = [
    "CheckpointFacts",
    "FileFacts",
    "Loading",
    "Sizes",
    "inspect_checkpoint",
    "read_loading",
    "read_sizes",
]
