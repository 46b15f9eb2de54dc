"""``run --verifier``: a second model chooses among the candidates that the first one writes.

This is its option and what it prints; ``system_run`` evaluates it, and takes longer to load.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from evaluator.contract import Candidates, Part
from evaluator.errors import Code, error
from evaluator.protocols import Protocol


def add_option(command: argparse.ArgumentParser) -> None:
    """Add ``--verifier``."""
    command.add_argument(
        "--verifier",
        metavar="FOLDER",
        help="checkpoint that chooses among the model's candidates, where the protocol has one",
    )


def check_verifier(verifier: str | None, protocol: Protocol) -> None:
    """Raise unless a verifier is named where the protocol has one, and is a folder."""
    if protocol.vote == "verifier" and not verifier:
        raise error(Code.VERIFIER_NEEDED, protocol.id)
    if verifier and protocol.vote != "verifier":
        raise error(Code.VERIFIER_UNFIT, protocol.id)
    if verifier and "://" in verifier:
        raise error(Code.VERIFIER_ENDPOINT)


def record(
    parts: Sequence[Part],
    candidates: Candidates | None,
) -> dict[str, Any]:
    """Return the fields of a system that are printed with the counts; none of a single model."""
    fields: dict[str, Any] = {}
    if parts:
        fields["parts"] = [part.to_dict() for part in parts]
    if candidates:
        fields["candidates"] = candidates.to_dict()
    return fields


def print_system(parts: Sequence[Part], candidates: Candidates | None) -> None:
    """Print tokens and seconds of both parts, and accuracy by the number of candidates."""
    for part in parts:
        print(
            f"{part.role}: tokens_in {part.tokens_in}  tokens_out {part.tokens_out}"
            f"  seconds {part.seconds:.1f}",
            file=sys.stderr,
        )
    if candidates is None:
        return
    print(f"a random candidate {candidates.random:.4f}", file=sys.stderr)
    for point in candidates.curve:
        chosen = point.chosen
        interval = f"({chosen.low:.4f} to {chosen.high:.4f})"
        print(
            f"{point.k} candidates: chosen {chosen.value:.4f} {interval}"
            f"  vote {point.vote:.4f}  any right {point.any_right:.4f}",
            file=sys.stderr,
        )
    if fewer := candidates.fewer_are_better:
        print(f"more candidates hurt: {fewer.k} are better than all", file=sys.stderr)
