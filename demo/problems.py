"""Templated grade-school word problems, written for the demonstration.

A template is a sentence with blanks, and the sums that solve it. Drawing fills the blanks, works
the sums one by one, and throws the draw away when a sum leaves the small whole numbers, so that
every answer is exact and within reach of a very small model. The public, the private and the
training problems come from the same templates and differ in their seed only: a score gap between
the sets says something about what a model has seen, not about how hard the sets are.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

PUBLIC_SEED = 4105
PRIVATE_SEED = 5206
TRAINING_SEED = 3303
TOKENIZER_SEED = 4404
LONG_PUBLIC_SEED = 6606
LONG_PRIVATE_SEED = 7707
PRACTICE_SEEDS = (8808, 9909)
SET_SIZE = 1_000
"""Items of the public and of the private set of short problems."""
LONG_SET_SIZE = 400
"""Items of the public and of the private set of long problems."""
PROGRAM_SEEDS = (7101, 7202)
PROGRAM_SET_SIZE = 150
"""Items of the public and of the private set whose answers are programs."""
PRACTICE_SIZE = 60
_EARLIER_SEEDS = (1101, 2202)
_EARLIER_SIZE = 400

LARGEST = 200
"""No number in a problem or in its working is above this one."""

_MAX_DRAWS = 10_000

Row = dict[str, str]

PEOPLE = (
    "Anouk", "Bram", "Dov", "Fenna", "Haruki", "Imke", "Ines", "Joss", "Kofi", "Leilani",
    "Mirela", "Oduya", "Petra", "Ravi", "Solveig", "Sunniva", "Tarek", "Tobin", "Wanda", "Yusra",
)  # fmt: skip
PEOPLE_OF_THE_SETS = (
    "Ada", "Bo", "Cleo", "Dina", "Elio", "Faye", "Gus", "Hana", "Igor", "June",
    "Kai", "Lena", "Milo", "Nora", "Otto", "Pia", "Rhea", "Sven", "Tess", "Uma",
)  # fmt: skip
"""People of the four sets. The first part of the models' training names none of them."""
THINGS = (
    "acorns", "bells", "buttons", "candles", "corks", "feathers", "kites", "lanterns",
    "pebbles", "pinecones", "ribbons", "spools", "stamps", "thimbles", "tiles", "whistles",
)  # fmt: skip
_SIZES = {
    "S": (2, 9),
    "M": (10, 40),
    "L": (30, 99),
}
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}


@dataclass(frozen=True)
class Problem:
    """Drawn problem: its question, its worked answer, and a program that leaves it in `result`."""

    question: str
    answer: str
    program: str

    @property
    def row(self) -> Row:
        """Return the question and the answer, as they stand in a set."""
        return {"question": self.question, "answer": self.answer}


@dataclass(frozen=True)
class Template:
    """One kind of problem.

    `sizes` has one letter (a key of `_SIZES`) for each of the blanks a, b, c, ... of `text`.
    `steps` are sums over the blanks and over the earlier results, which are named w, x, y, z in
    their order.
    """

    sizes: str
    steps: tuple[str, ...]
    text: str


TEMPLATES = (
    # One step.
    Template(
        "MS",
        ("a + b",),
        "{who} has {a} {things} and finds {b} more. How many {things} does {who} have now?",
    ),
    Template(
        "MS",
        ("a - b",),
        "{who} picks up {a} {things} and gives {b} of them to {other}. How many are left?",
    ),
    Template(
        "SS",
        ("a * b",),
        "{who} has {a} boxes with {b} {things} in each box. How many {things} is that?",
    ),
    Template(
        "MS",
        ("a / b",),
        "{who} shares {a} {things} equally among {b} friends. How many does each one get?",
    ),
    Template(
        "MM",
        ("a + b",),
        "{who} reads {a} pages before lunch and {b} pages after lunch. How many in all?",
    ),
    Template(
        "LM",
        ("a - b",),
        "{who} runs a ferry with {a} seats and {b} are taken. How many seats are free?",
    ),
    Template(
        "SS",
        ("a * b",),
        "{who} sells {a} {things} for {b} coins each. How many coins does that make?",
    ),
    Template(
        "MS",
        ("a / b",),
        "{who} strings {a} {things} on {b} equal cords. How many are on each cord?",
    ),
    # Two steps.
    Template(
        "MS",
        ("a + b", "a + w"),
        "{who} has {a} {things}. {other} has {b} more than {who}. How many do they have together?",
    ),
    Template(
        "SSS",
        ("a * b", "w - c"),
        "{who} buys {a} bags with {b} {things} in each and loses {c} of them. How many {things} "
        "are left?",
    ),
    Template(
        "MMS",
        ("a + b", "w / c"),
        "{who} packs {a} red and {b} blue {things} evenly into {c} crates. How many go into each "
        "crate?",
    ),
    Template(
        "SSL",
        ("a * b", "c - w"),
        "{who} buys {a} lamps for {b} coins each and had {c} coins before. How many coins remain?",
    ),
    Template(
        "SSM",
        ("a * b", "w + c"),
        "{who} bakes {a} rolls an hour for {b} hours and has {c} from before. How many rolls is "
        "that?",
    ),
    Template(
        "LMS",
        ("a - b", "w - c"),
        "{who} had {a} {things}, gave {b} to {other} and dropped {c} in a well. How many are left?",
    ),
    Template(
        "LMS",
        ("a - b", "w / c"),
        "From a rope of {a} feet {who} cuts {b} feet and makes {c} equal pieces of the rest. How "
        "long is each?",
    ),
    Template(
        "MSS",
        ("a / b", "w * c"),
        "{who} splits {a} {things} evenly into {b} jars and carries {c} such jars home. How many "
        "come home?",
    ),
    Template(
        "MSM",
        ("a - b", "w + c"),
        "{who} counts {a} ducks. Then {b} fly away and {c} arrive. How many ducks are there now?",
    ),
    Template(
        "SSS",
        ("a + b", "w * c"),
        "{who} rows {a} laps each morning and {b} laps each evening. How many laps is that in "
        "{c} days?",
    ),
    # Three steps.
    Template(
        "SSSS",
        ("a * b", "c * d", "w + x"),
        "{who} has {a} pens with {b} goats each and {c} pens with {d} sheep each. How many "
        "animals is that?",
    ),
    Template(
        "SSSS",
        ("a * b", "w - c", "x / d"),
        "{who} earns {a} coins a day for {b} days, spends {c}, and puts the rest evenly in {d} "
        "tins. "
        "How many coins are in each tin?",
    ),
    Template(
        "SSS",
        ("a * b", "a + w", "x - c"),
        "{who} has {a} {things}. {other} has {b} times as many. Together they give away {c}. How "
        "many are left?",
    ),
    Template(
        "LMSS",
        ("a - b", "w + c", "x - d"),
        "A train has {a} riders. At the mill {b} get off and {c} get on. At the lake {d} get "
        "off. How many stay?",
    ),
    Template(
        "MMSS",
        ("a + b", "w / c", "x * d"),
        "{who} has {a} {things} and {other} has {b}. They fill {c} equal bags and sell {d} such "
        "bags. "
        "How many {things} is that?",
    ),
    Template(
        "SSSM",
        ("a * b", "w - c", "x + d"),
        "A hall has {a} rows of {b} chairs. Then {c} chairs break and {d} new ones come. How "
        "many are there now?",
    ),
    Template(
        "SSML",
        ("a * b", "w + c", "d - x"),
        "{who} buys {a} cups for {b} coins each and a jug for {c} coins, and had {d} coins. How "
        "many remain?",
    ),
    Template(
        "SSSM",
        ("a + b", "w * c", "x + d"),
        "On a walk {a} girls and {b} boys carry {c} {things} each. The guide carries {d}. How "
        "many is that?",
    ),
    # Four steps.
    Template(
        "SSSSS",
        ("a * b", "c * d", "w + x", "y - e"),
        "{who} plants {a} rows of {b} beans and {c} rows of {d} peas. Then {e} plants die. How "
        "many still grow?",
    ),
    Template(
        "SSMSS",
        ("a * b", "w + c", "x - d", "y / e"),
        "{who} saves {a} coins a week for {b} weeks, is given {c}, spends {d}, and shares the "
        "rest evenly "
        "among {e} cousins. How many coins does each cousin get?",
    ),
    Template(
        "MSMS",
        ("a - b", "a + w", "x + c", "y / d"),
        "{who} has {a} {things}. {other} has {b} fewer. "
        "They find {c} more and fill {d} equal bags with them all. "
        "How many go into each bag?",
    ),
    Template(
        "SSSMS",
        ("a + b", "w * c", "x - d", "y + e"),
        "A mill grinds {a} sacks by day and {b} sacks by night, for {c} days. It sells {d} and "
        "buys {e}. "
        "How many sacks does it have?",
    ),
    Template(
        "MSSMS",
        ("a / b", "w * c", "x + d", "y - e"),
        "{who} splits {a} {things} evenly into {b} boxes, keeps {c} such boxes, adds {d} and "
        "gives {e} "
        "to {other}. How many does {who} keep?",
    ),
    Template(
        "SSSSL",
        ("a * b", "c * d", "w + x", "e - y"),
        "A school buys {a} desks for {b} coins each and {c} maps for {d} coins each, and had {e} "
        "coins. "
        "How many coins remain?",
    ),
)


SHORT = TEMPLATES[:18]
"""Templates of one and two steps: those of the demonstration's first benchmark."""
LONG = tuple(template for template in TEMPLATES[18:] if "{who}" in template.text)
"""Templates of three and four steps that name a person: those of its second benchmark."""
MIDDLE = tuple(
    template
    for template in (*SHORT, *LONG)
    if len(template.steps) in (2, 3) and "L" not in template.sizes
)
"""Templates of two and three steps and small numbers: those whose answers are programs."""


def _work(template: Template, numbers: dict[str, int]) -> tuple[str, str] | None:
    """Return the worked answer, and the same sums as Python, the last one assigned to `result`.

    None where a sum is not exact or leaves 1 to `LARGEST`.
    """
    known = dict(numbers)
    lines: list[str] = []
    assignments: list[str] = []
    result = 0
    names = [*"wxyz"[: len(template.steps) - 1], "result"]
    for name, step in zip(names, template.steps, strict=True):
        left, sign, right = step.split()
        first = known[left]
        second = known[right]
        if sign == "/" and first % second:
            return None
        result = _OPERATORS[sign](first, second)
        if not 1 <= result <= LARGEST:
            return None
        known[name] = result
        lines.append(f"{first} {sign} {second} = {result}.")
        assigned = f"{numbers.get(left, left)} {sign} {numbers.get(right, right)}"
        assignments.append(f"{name} = {assigned}")
    return f"{' '.join(lines)} #### {result}", "\n".join(assignments)


def _draw_new(
    template: Template,
    rng: random.Random,
    people: Sequence[str],
    taken: set[str],
    avoid: Container[str],
) -> Problem:
    for _ in range(_MAX_DRAWS):
        numbers = {}
        for name, size in zip("abcde", template.sizes, strict=False):
            numbers[name] = rng.randint(*_SIZES[size])
        worked = _work(template, numbers)
        if worked is None:
            continue
        answer, program = worked
        who, other = rng.sample(people, 2)
        things = rng.choice(THINGS)
        question = template.text.format(
            who=who,
            other=other,
            things=things,
            **numbers,
        )
        if question not in taken and question not in avoid:
            return Problem(question, answer, program)
    raise ValueError(f"no new problem left for the template {template.text!r}")


def generate(
    seed: int,
    n: int,
    avoid: Container[str] = (),
    *,
    templates: Sequence[Template] = TEMPLATES,
    people: Sequence[str] = PEOPLE,
) -> list[Row]:
    """`n` rows `{"question", "answer"}`, the same for the same arguments, the templates in equal
    shares.

    The questions are distinct and none is in `avoid`. An answer is one line: the sums, then `####
    N` with N a positive integer. Raises ValueError for a negative `n`, and where a template has no
    new problem left.
    """
    drawn = draw_problems(seed, n, avoid, templates=templates, people=people)
    return [problem.row for problem in drawn]


def draw_problems(
    seed: int,
    n: int,
    avoid: Container[str] = (),
    *,
    templates: Sequence[Template] = TEMPLATES,
    people: Sequence[str] = PEOPLE,
) -> list[Problem]:
    """Return the problems of `generate`, each with its program. Raises as it does."""
    if n < 0:
        raise ValueError(f"cannot make {n} problems")
    rng = random.Random(seed)  # noqa: S311 - the same again for a seed is the point
    taken: set[str] = set()
    problems: list[Problem] = []
    for index in range(n):
        template = templates[index % len(templates)]
        problem = _draw_new(template, rng, people, taken, avoid)
        taken.add(problem.question)
        problems.append(problem)
    rng.shuffle(problems)
    return problems


def public_set() -> list[Row]:
    """Return the public set of short problems: `SET_SIZE` rows."""
    return _of_a_set(PUBLIC_SEED, SET_SIZE, SHORT)


def private_set() -> list[Row]:
    """Return the private set of short problems: `SET_SIZE` rows, none of them public."""
    return _of_a_set(PRIVATE_SEED, SET_SIZE, SHORT, avoid=public_set())


def long_public_set() -> list[Row]:
    """Return the public set of long problems: `LONG_SET_SIZE` rows."""
    return _of_a_set(LONG_PUBLIC_SEED, LONG_SET_SIZE, LONG)


def long_private_set() -> list[Row]:
    """Return the private set of long problems: `LONG_SET_SIZE` rows, none of them public."""
    return _of_a_set(LONG_PRIVATE_SEED, LONG_SET_SIZE, LONG, avoid=long_public_set())


def practice_sets() -> tuple[list[Row], list[Row]]:
    """Return two public sets to practise on: `PRACTICE_SIZE` rows each, none of another set."""
    others = [public_set(), private_set(), long_public_set(), long_private_set()]
    known = [row for rows in others for row in rows]
    first_seed, second_seed = PRACTICE_SEEDS
    first = _of_a_set(first_seed, PRACTICE_SIZE, SHORT, avoid=known)
    known += first
    second = _of_a_set(second_seed, PRACTICE_SIZE, SHORT, avoid=known)
    return first, second


def program_sets() -> tuple[list[Row], list[Row]]:
    """Return a public and a private set to be answered by programs, none of another set's rows.

    They have `PROGRAM_SET_SIZE` rows each, of two and three steps.
    """
    others = [public_set(), private_set(), long_public_set(), long_private_set()]
    known = [row for rows in (*others, *practice_sets()) for row in rows]
    first_seed, second_seed = PROGRAM_SEEDS
    first = _of_a_set(first_seed, PROGRAM_SET_SIZE, MIDDLE, avoid=known)
    known += first
    second = _of_a_set(second_seed, PROGRAM_SET_SIZE, MIDDLE, avoid=known)
    return first, second


def _of_a_set(
    seed: int,
    n: int,
    templates: Sequence[Template],
    avoid: Sequence[Row] = (),
) -> list[Row]:
    return generate(
        seed,
        n,
        avoid=questions(avoid),
        templates=templates,
        people=PEOPLE_OF_THE_SETS,
    )


def training_set(
    n: int,
    seed: int = TRAINING_SEED,
    *,
    templates: Sequence[Template] = TEMPLATES,
    people: Sequence[str] = PEOPLE,
) -> list[Row]:
    """Return `n` rows to train on, none of them in one of the four sets.

    Nor is any in the two sets of an earlier version, so that a seed gives the rows that it gave
    then.
    """
    public_seed, private_seed = _EARLIER_SEEDS
    earlier = generate(public_seed, _EARLIER_SIZE)
    earlier += generate(private_seed, _EARLIER_SIZE, avoid=questions(earlier))
    sets = [public_set(), private_set(), long_public_set(), long_private_set(), earlier]
    avoid = {question for rows in sets for question in questions(rows)}
    return generate(seed, n, avoid, templates=templates, people=people)


def program_problems(n: int, seed: int) -> list[Problem]:
    """Return `n` problems with programs to train on, about all people, none of the program sets."""
    avoid = {question for rows in program_sets() for question in questions(rows)}
    people = (*PEOPLE, *PEOPLE_OF_THE_SETS)
    return draw_problems(seed, n, avoid, templates=MIDDLE, people=people)


def questions(rows: Sequence[Row]) -> set[str]:
    """Return the questions of the rows."""
    return {row["question"] for row in rows}
