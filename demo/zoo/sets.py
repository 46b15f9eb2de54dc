"""The zoo's two sets, and what its models are trained on.

Both sets come from the templates of `demo.problems`. The private twin has more of the long ones, so
that it is about 5 points harder for a model that has seen neither: the raw gap of an honest model
is not 0 here, as it is not between any two sets that were written apart.
"""

import hashlib
import random
import re
from collections.abc import Sequence

from demo.problems import PEOPLE, TEMPLATES, THINGS, Row, generate, questions
from evaluator.contract import canonical_json

SIZE = 800
"""Items of each set."""

LONG = TEMPLATES[20:]
"""Those of three and four steps, but for the first two."""

_PUBLIC_SEED = 5101
_PRIVATE_SEED = 5202
_COPIES_SEED = 5303
_NAMES = re.compile(rf"\b({'|'.join(PEOPLE)})\b")
_NOUNS = re.compile(rf"\b({'|'.join(THINGS)})\b")


def public_set() -> list[Row]:
    """Return `SIZE` rows, every template in equal shares."""
    return generate(_PUBLIC_SEED, SIZE)


def private_set() -> list[Row]:
    """Return `SIZE` rows, none of them public.

    The last twelve templates, of three and four steps, come twice as often.
    """
    return generate(
        _PRIVATE_SEED,
        SIZE,
        avoid=questions(public_set()),
        templates=(*TEMPLATES, *LONG),
    )


def training_set(n: int, seed: int) -> list[Row]:
    """Return `n` rows to train on, none of them in either set."""
    known = questions(public_set()) | questions(private_set())
    return generate(seed, n, avoid=known)


def digest(rows: list[Row]) -> str:
    """Return SHA-256 in hexadecimal over the canonical JSON of the rows."""
    return hashlib.sha256(canonical_json(rows)).hexdigest()


def near_copies() -> list[Row]:
    """Return the public rows with other people and other things in them.

    The sums and the answers are the same. A row that names no person and no thing is left out; none
    of the copies is in either set.
    """
    rng = random.Random(_COPIES_SEED)  # noqa: S311 - the same again for a seed is the point
    taken = questions(public_set()) | questions(private_set())
    copies = []
    for row in public_set():
        question = row["question"]
        if not (_NAMES.search(question) or _NOUNS.search(question)):
            continue
        # The question itself is taken, so at least one copy is drawn.
        copy = question
        while copy in taken:
            renamed = _replaced(_NAMES, PEOPLE, rng, question)
            copy = _replaced(_NOUNS, THINGS, rng, renamed)
        copies.append({"question": copy, "answer": row["answer"]})
    return copies


def _replaced(
    pattern: re.Pattern[str],
    names: Sequence[str],
    rng: random.Random,
    text: str,
) -> str:
    shuffled = rng.sample(names, len(names))
    to = dict(zip(names, shuffled, strict=True))
    return pattern.sub(lambda found: to[found[0]], text)
