"""Transcripts: items of a public set as a practice run was asked them, with the model's answers.

The one report that holds texts. It names a public set: ``sealed`` can have no other value than
False, a job that asks for transcripts may name no sealed set (``JobSpec``), the evaluator makes
them of a ``PublicSource`` only, and the site stores none about a sealed set.
"""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.base import Count, Name, Outcome, Wire

MOST_TRANSCRIPTS = 20
"""Most items of a set that are transcribed: its first ones."""
LONGEST_TEXT = 4_000
"""Most characters of each text; a longer one is cut."""

Text = Annotated[str, Meta(pattern="\\A[^\\x00\\ud800-\\udfff]*\\Z", max_length=LONGEST_TEXT)]
"""Text that a database can hold: no NUL, and no half of a surrogate pair."""


class Transcript(Wire, frozen=True, kw_only=True):
    """One item: the prompt as it was sent, each completion, and how it was graded.

    - ``extracted`` is the answer that the grader found in each completion, empty for none.
    - ``gold`` is the right answer.
    - ``cut`` states that a text here is longer than ``LONGEST_TEXT``.
    """

    index: Count
    prompt: Text
    completions: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=5)]
    extracted: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=5)]
    gold: Text
    outcome: Outcome
    cut: bool = False


class Transcripts(Wire, tag_field="kind", tag="transcripts", frozen=True, kw_only=True):
    """Transcripts of the first items of one public set, ascending."""

    set: Name
    sealed: Literal[False] = False
    items: Annotated[tuple[Transcript, ...], Meta(min_length=1, max_length=MOST_TRANSCRIPTS)]
