"""Commitment of an evaluator at the end of a run to every item's outcome and completion.

The completion itself stays with the evaluator until the set is released. Its hash is salted: an
answer can be as short as a number, and the root of a run of one item could be guessed otherwise.
The counts by outcome are salted too. Only the site receives them; they are published once the
run's cohort is closed, if they are over at least the minimum cell size.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from evaluator.contract import CountsOpening, Hex32, Outcome, canonical_json
from evaluator.ledger.tree import leaf_hash, root

_OUTCOME_DOMAIN = b"holdfast/outcome/v1\n"
_COUNTS_DOMAIN = b"holdfast/tally/v1\n"


@dataclass(frozen=True, slots=True)
class Closed:
    """Item of a closed run: its index, the salted hash of its completion, and its outcome.

    ``samples_right`` of its ``samples`` are right, where it has several.
    """

    index: int
    completion: Hex32
    outcome: Outcome
    samples: int = 1
    samples_right: int = 0


def completion_hash(salt: bytes, text: str) -> Hex32:
    """Return SHA-256(salt ‖ text).

    Half a surrogate pair, which a model may write, counts as its three bytes.
    """
    return hashlib.sha256(salt + text.encode("utf-8", "surrogatepass")).hexdigest()


def closing_root(items: Iterable[Closed]) -> Hex32:
    """Return the RFC 6962 root over the items, ordered by index.

    The data of a leaf are the canonical JSON of ``[index, completion, outcome]``.
    """
    leaves: list[bytes] = []
    for item in sorted(items, key=lambda item: item.index):
        row = [item.index, item.completion, int(item.outcome)]
        data = _OUTCOME_DOMAIN + canonical_json(row)
        leaves.append(leaf_hash(data))
    return root(leaves).hex()


def count_outcomes(
    items: Iterable[Closed],
    *,
    line: Hex32,
    salt: bytes,
) -> CountsOpening:
    """Return the counts of outcomes that open the commitment of the closing of hash ``line``."""
    items = list(items)
    counter = Counter(item.outcome for item in items)
    samples = max((item.samples for item in items), default=1)
    has_samples = samples > 1
    samples_right = sum(item.samples_right for item in items)
    return CountsOpening(
        line=line,
        right=counter[Outcome.RIGHT],
        wrong=counter[Outcome.WRONG],
        no_answer=counter[Outcome.NO_ANSWER],
        truncated=counter[Outcome.TRUNCATED],
        salt=salt.hex(),
        samples=samples if has_samples else None,
        samples_right=samples_right if has_samples else None,
    )


def counts_commitment(counts: CountsOpening) -> Hex32:
    """Return the SHA-256 of the domain and the canonical JSON of counts and salt.

    The hash of the closing line is left out, since the line contains the commitment.
    """
    fields = counts.to_dict()
    del fields["line"]
    return hashlib.sha256(_COUNTS_DOMAIN + canonical_json(fields)).hexdigest()
