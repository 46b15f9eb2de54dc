"""Transcripts of a practice run: what the first items of a public set were asked, and answered.

They are made of a ``PublicSource``, whose items lie open on this host; a sealed set has no such
source. Texts are cut to what a report may hold.
"""

import re
from collections.abc import Mapping

from evaluator.contract.transcripts import LONGEST_TEXT, Transcript, Transcripts
from evaluator.grading import executes, grade
from evaluator.pipeline.plan import PublicSource
from evaluator.protocols import Protocol
from evaluator.sealing.completions import Answered

MOST_SAMPLES = 5
"""Completions of an item that are transcribed, where a protocol asks several."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def transcripts_of(
    source: PublicSource,
    protocol: Protocol,
    answered: Mapping[int, Answered],
    *,
    most: int,
) -> Transcripts | None:
    """Return the transcripts of a set's first ``most`` items; None where none is answered."""
    shots = protocol.draws(source.n, len(source.shots))
    items = []
    for index in range(min(most, source.n)):
        if index not in answered:
            continue
        shown = [source.shots[shot] for shot in shots[index]]
        prompt = protocol.prompt(source.items[index], shown)
        gold = source.items[index].gold
        completions = []
        extracted = []
        for answer in answered[index].answers[:MOST_SAMPLES]:
            completions.append(answer.text)
            if executes(protocol.grader):
                extracted.append("")
                continue
            text = protocol.graded(answer.text)
            graded = grade(protocol.grader, text, gold, cut=answer.was_cut)
            extracted.append(graded.extracted)
        texts = (prompt, gold, *completions, *extracted)
        transcript = Transcript(
            index=index,
            prompt=_storable(prompt),
            completions=tuple(map(_storable, completions)),
            extracted=tuple(map(_storable, extracted)),
            gold=_storable(gold),
            outcome=answered[index].outcome,
            cut=any(len(text) > LONGEST_TEXT for text in texts),
        )
        items.append(transcript)
    return Transcripts(set=source.name, items=tuple(items)) if items else None


def _storable(text: str) -> str:
    """Return a text cut to its limit, with a replacement for what a database cannot hold."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text[:LONGEST_TEXT])
