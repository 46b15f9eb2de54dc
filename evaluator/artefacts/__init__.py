"""Reading what a submitter hands in, without running any of it. Shared with the site: no torch here."""

from evaluator.artefacts.checkpoint import CheckpointFacts, FileFacts, inspect_checkpoint
from evaluator.artefacts.sizes import Sizes, read_sizes

__all__ = ["CheckpointFacts", "FileFacts", "Sizes", "inspect_checkpoint", "read_sizes"]
