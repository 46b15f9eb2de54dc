"""The zoo's two sets, and what its models are trained on.

Both sets come from the templates of `demo.problems`. The private twin has more of the long ones, so that it is about
5 points harder for a model that has seen neither: the raw gap of an honest model is not 0 here, as it is not between
any two sets that were written apart.
"""

import random
import re

from demo.problems import PEOPLE, TEMPLATES, THINGS, Row, generate

SIZE = 800
"""Items of each set."""

_PUBLIC_SEED, _PRIVATE_SEED, _COPIES_SEED = 5101, 5202, 5303
_LONG = TEMPLATES[20:]
_NAMES = re.compile(rf"\b({'|'.join(PEOPLE)})\b")
_NOUNS = re.compile(rf"\b({'|'.join(THINGS)})\b")


def public_set() -> list[Row]:
    """`SIZE` rows, every template in equal shares."""
    return generate(_PUBLIC_SEED, SIZE)


def private_set() -> list[Row]:
    """`SIZE` rows, none of them public; the last twelve templates, of three and four steps, come twice as often."""
    return generate(_PRIVATE_SEED, SIZE, avoid=_questions(public_set()), templates=(*TEMPLATES, *_LONG))


def training_set(n: int, seed: int) -> list[Row]:
    """`n` rows to train on, none of them in either set."""
    return generate(seed, n, avoid=_questions(public_set()) | _questions(private_set()))


def near_copies() -> list[Row]:
    """The public rows with other people and other things in them: the sums and the answers are the same.

    A row that names nobody and nothing has no such copy and is left out; none of the copies is in either set.
    """
    rng = random.Random(_COPIES_SEED)  # noqa: S311 - the same again for a seed is the point
    taken = _questions(public_set()) | _questions(private_set())
    rows = [row for row in public_set() if _NAMES.search(row["question"]) or _NOUNS.search(row["question"])]
    return [{"question": _renamed(row["question"], rng, taken), "answer": row["answer"]} for row in rows]


def _renamed(question: str, rng: random.Random, taken: set[str]) -> str:
    while True:
        people = dict(zip(PEOPLE, rng.sample(PEOPLE, len(PEOPLE)), strict=True))
        things = dict(zip(THINGS, rng.sample(THINGS, len(THINGS)), strict=True))
        new = _NAMES.sub(lambda found, to=people: to[found[0]], question)
        new = _NOUNS.sub(lambda found, to=things: to[found[0]], new)
        if new not in taken:
            return new


def _questions(rows: list[Row]) -> set[str]:
    return {row["question"] for row in rows}
