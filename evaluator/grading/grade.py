"""Result of grading one completion."""

from dataclasses import dataclass

from evaluator.contract import Outcome


@dataclass(frozen=True, slots=True, repr=False)
class Grade:
    """Outcome, and the answer that was read (empty if there was none).

    ``repr`` shows the outcome only.
    """

    outcome: Outcome
    extracted: str

    def __repr__(self) -> str:
        return f"Grade({self.outcome.name.lower()})"
