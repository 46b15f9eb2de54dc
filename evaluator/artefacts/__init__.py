"""Reading what a submitter hands in, without running any of it. Shared with the site: no torch here."""

from evaluator.artefacts.checkpoint import CheckpointFacts, FileFacts, inspect_checkpoint

__all__ = ["CheckpointFacts", "FileFacts", "inspect_checkpoint"]
