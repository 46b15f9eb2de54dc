"""Evidence levels: their names, their codes and what each is called on pages."""

from collections.abc import Mapping
from typing import Literal

EvidenceWord = Literal["overfit", "watch", "no_evidence", "cannot_tell"]


EVIDENCE: Mapping[EvidenceWord, str] = {
    "overfit": "overfit",
    "watch": "watch",
    "no_evidence": "no evidence",
    "cannot_tell": "cannot tell",
}


EvidenceCode = Literal["overfit", "watch", "no_evidence", "cannot_tell", "pending"]


WORDS: Mapping[EvidenceCode, str] = {
    "overfit": EVIDENCE["overfit"],
    "watch": EVIDENCE["watch"],
    "no_evidence": EVIDENCE["no_evidence"],
    "cannot_tell": EVIDENCE["cannot_tell"],
    "pending": "not decided yet",
}
"""What a reader sees for each evidence code."""


CohortBasis = Literal["twins", "panel", "none"]
"""What a word supposes: sets that are exchangeable by construction, a panel of clean references, or nothing at all."""
