"""Real outcomes: 41 models that answered the same 1,319 items of GSM8K, greedily, in 2024.

The file is made from ZeroEval's recorded answers (Apache 2.0): one JSON object a model, of which
``correct`` has 0, 1 or - for each item.
"""

import gzip
import json
from pathlib import Path

import numpy as np

from bench.worlds import Floats, Sample

FILE = Path("outputs", "zeroeval", "gsm8k_answers_42_models.jsonl.gz")
ITEMS = 1319


def outcomes(data: Path) -> Floats:
    """Return the outcomes (41, 1319) of the models that answered every item."""
    rows = []
    with gzip.open(data / FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            correct = json.loads(line)["correct"]
            if len(correct) == ITEMS and set(correct) <= {"0", "1"}:
                rows.append([float(mark) for mark in correct])
    return np.array(rows)


def halves(
    marks: Floats,
    rng: np.random.Generator,
    *,
    harder: float = 0.0,
) -> tuple[Floats, Floats]:
    """Return the outcomes on a public and a private half, drawn at random.

    ``harder`` is the spread, in points of the mean score, by which the private half is the more
    difficult: items are exchanged at random until the halves differ by so much. With 0 none is.
    """
    order = rng.permutation(marks.shape[1])
    half = marks.shape[1] // 2
    public = list(order[:half])
    private = list(order[half:])
    ease = marks.mean(axis=0)
    while harder:
        spread = ease[public].mean() - ease[private].mean()
        if spread >= harder:
            break
        out = rng.integers(len(public))
        into = rng.integers(len(private))
        if ease[private[into]] > ease[public[out]]:
            public[out], private[into] = private[into], public[out]
    return marks[:, public], marks[:, private]


def draw(
    marks: Floats,
    rng: np.random.Generator,
    *,
    references: int = 20,
    harder: float = 0.0,
    memorised: float = 0.0,
) -> Sample:
    """Return a random target against random references, by random halves of the items.

    ``memorised`` is the lift of the target's public share, by wrong answers made right at random;
    every answer is right if too few are wrong.
    """
    public, private = halves(marks, rng, harder=harder)
    chosen = rng.permutation(len(marks))[: references + 1]
    public = public[chosen].copy()
    private = private[chosen]
    wrong = np.flatnonzero(public[-1] == 0)
    lifted = min(round(memorised * public.shape[1]), len(wrong))
    public[-1, rng.choice(wrong, lifted, replace=False)] = 1.0
    return Sample(public, private, tuple(range(references)))
