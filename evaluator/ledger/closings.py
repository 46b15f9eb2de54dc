"""What an evaluator commits to at the end of a run: every item's outcome and the hash of what was answered.

The answer itself stays with the evaluator until the set is released. Its hash is salted, since an answer can be as
short as a number, and the root of a run of one item would else be guessed. So are the counts, which the site alone is
told: they are opened to everybody once the run's cohort is closed, and where they are over no small cell.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from evaluator.contract import Hex32, Outcome, OutcomeCounts, canonical_json
from evaluator.ledger.tree import leaf_hash, root

_DOMAIN = b"holdfast/outcome/v1\n"
_TALLY = b"holdfast/tally/v1\n"


@dataclass(frozen=True, slots=True)
class Closed:
    """One item of a closed run: its index, the salted hash of its completion, and its outcome."""

    index: int
    completion: Hex32
    outcome: Outcome


def completion_hash(salt: bytes, text: str) -> Hex32:
    """SHA-256(salt ‖ text). Half a surrogate pair, which a model may write, counts as its three bytes."""
    return hashlib.sha256(salt + text.encode("utf-8", "surrogatepass")).hexdigest()


def closing_root(items: Iterable[Closed]) -> Hex32:
    """The RFC 6962 root over the items in order of their index: leaf data ``[index, completion, outcome]``."""
    ordered = sorted(items, key=lambda item: item.index)
    rows = ([item.index, item.completion, int(item.outcome)] for item in ordered)
    return root([leaf_hash(_DOMAIN + canonical_json(row)) for row in rows]).hex()


def tally(items: Iterable[Closed], *, line: Hex32, salt: bytes) -> OutcomeCounts:
    """How many of the items came to each outcome that counts, and what opens the commitment of the closing ``line``."""
    found = Counter(item.outcome for item in items)
    counts = {one.name.lower(): found[one] for one in Outcome if one is not Outcome.NOT_COUNTED}
    return OutcomeCounts(line=line, salt=salt.hex(), **counts)


def tally_commitment(told: OutcomeCounts) -> Hex32:
    """SHA-256 over the domain and the canonical JSON of the counts and the salt; not of the line, which holds it."""
    fields = {name: value for name, value in told.to_dict().items() if name != "line"}
    return hashlib.sha256(_TALLY + canonical_json(fields)).hexdigest()
