"""Summary of a finished analysis as questions and answers; every number is the analysis's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leaderboard.evidence.associations import correlation_text, likelihood, p_text
from leaderboard.evidence.formats import chance_count, points
from leaderboard.evidence.summaries import Tested
from leaderboard.evidence.vocabulary import DECIDED, Evidence, Levels
from leaderboard.published.models import PublishedTable
from leaderboard.published.results import Analysis, Basis, PublishedResult, is_tested

FEW_CHANGES = 0.05
"""Share of pairs below which the order of the models is said to change hardly."""
MOST_NAMED = 6
"""Longer lists are counted only; the rows have the names."""


@dataclass(frozen=True)
class Answer:
    """One question of a reader, and the answer."""

    question: str
    answer: str


def summarise(table: PublishedTable, analysis: Analysis) -> tuple[Answer, ...]:
    """Return the questions that the table answers, the commonest first."""
    overfit = "Which models overfit to the public set, and how sure is that?"
    order = analysis.order
    changes = ""
    if order.pairs and order.spearman is not None:
        share = order.changed / order.pairs
        hardly = "Hardly: " if share < FEW_CHANGES else ""
        changes = (
            f"{hardly}{order.changed} of {order.pairs:,} pairs that differ in public score"
            f" ({100 * share:.1f}%) change places; the rank correlation is"
            f" {correlation_text(order.spearman, 4)}."
        )
    of_order = Answer("Does the order of the models change?", changes)
    if table.same_problems:
        untested = (
            f"This table cannot tell: {_set(table.public_name)} and {_set(table.private_name)} have"
            " the same problems, judged differently. A model that has memorised the problems has"
            " them in both sets, and the tests compare sets of different problems. So no gap was"
            " tested."
        )
        answers = [Answer(overfit, untested), of_order]
    else:
        grounds = "The table does not state that they are."
        if table.equally_hard:
            grounds = f"Its authors state that they are: {table.equally_hard}."
        tested = [(line, line.raw.greater) for line in analysis.lines if line.raw]
        raw = (
            f"{_significant(tested, analysis.levels)} One-sided, public above private, from the"
            f" counts. {grounds}"
        )
        likelier = "Do models that find the public items likelier have larger gaps?"
        answers = [
            Answer(overfit, _short(table, analysis)),
            Answer("Which gaps are significant if both sets are equally hard?", raw),
            Answer("And by the test that the table itself prints?", _reported(analysis)),
            Answer(
                "And if the sets differ, but most other models do not overfit?", _peers(analysis)
            ),
            Answer("Which families?", _families(analysis)),
            of_order,
            Answer(likelier, likelihood(analysis.likelihood)),
        ]
    return tuple(answer for answer in answers if answer.answer)


def count_levels(analysis: Analysis, basis: Basis) -> dict[str, int]:
    """Return the number of models at each evidence level."""
    levels = [line.level(basis) for line in analysis.lines]
    return {level: levels.count(level) for level in DECIDED}


def _names(lines: Sequence[PublishedResult]) -> str:
    """Return the models of a short list in brackets, the largest gap first; empty for others."""
    if not 0 < len(lines) <= MOST_NAMED:
        return ""
    by_gap = sorted(lines, key=lambda line: -line.gap)
    names = [line.model for line in by_gap]
    return f" ({', '.join(names)})"


def _set(name: str) -> str:
    return f"the {name} set" if name in ("public", "private") else name


def _percent(level: float) -> str:
    return f"{100 * level:g}%"


def _short(table: PublishedTable, analysis: Analysis) -> str:
    """Return the answer under the table's own assumption, without the name of a test."""
    basis = analysis.basis
    overfit = [line for line in analysis.lines if line.level(basis) == Evidence.OVERFIT]
    counts = count_levels(analysis, basis)
    public = _set(table.public_name)
    if basis == "raw":
        comparison = f"than on {_set(table.private_name)}, which is taken to be equally hard"
    else:
        comparison = "than models of other families with the same private score"
    tested = sum(line.test(basis) is not None for line in analysis.lines)
    levels = analysis.levels
    if overfit:
        score = _verb(len(overfit), "it scores", "they score")
        each = _verb(len(overfit), "", " each")
        statements = [
            f"{len(overfit)} of {len(analysis.lines)}{_names(overfit)}:"
            f" {score} higher on {public} {comparison},{each} with p ≤ {levels.overfit:g}."
            f" {_chance(tested, levels.overfit)}"
        ]
    elif tested:
        statements = [
            f"None: no score on {public} is higher {comparison} with p ≤ {levels.overfit:g}."
        ]
    else:
        statements = ["There is no answer: no model could be tested."]
    if counts[Evidence.WATCH]:
        statements.append(
            f"{counts[Evidence.WATCH]} more may overfit (p ≤ {levels.watch:g})."
            f" {_chance(tested, levels.watch)}"
        )
    statements += _undecided(len(analysis.lines) - tested, counts[Evidence.CANNOT_TELL])
    return " ".join(statements)


def _undecided(untested: int, cannot_tell: int) -> Iterator[str]:
    """Yield the reasons why so many models have the level "cannot tell"."""
    weak = cannot_tell - untested
    if weak:
        yield f"For {weak} the items are too few to tell."
    if untested:
        yield (
            f"{untested} {_verb(untested, 'was', 'were')} not compared: too few models of other"
            f" families have a private score like {_verb(untested, 'its own', 'theirs')}."
        )


def _verb(count: int, one: str, more: str) -> str:
    """Return the form of a word for a count."""
    return one if count == 1 else more


def _chance(tested: int, level: float) -> str:
    """Return how many tested models have such a p-value by chance."""
    if tested == 1:
        return (
            f"If the one tested model is not overfitted, it has p ≤ {level:g} by chance with"
            f" probability {level:g} or less."
        )
    return (
        f"If no tested model were overfitted, chance alone would give at most"
        f" {chance_count(tested, level)} of the {tested:,} such a p-value, on average."
    )


def _significant(
    tested: Sequence[tuple[PublishedResult, Tested]],
    levels: Levels,
) -> str:
    """Return the models that pass each level alone, and how many pass the corrected ones."""
    strong = []
    weak = []
    for line, test in tested:
        if test.p <= levels.overfit:
            strong.append(line)
        elif test.p <= levels.watch:
            weak.append(line)
    holm = sum(test.holm <= levels.holm for _, test in tested)
    fdr = sum(test.benjamini_hochberg <= levels.benjamini_hochberg for _, test in tested)
    have = _verb(len(strong), "has", "have")
    correction = f"Corrected for {len(tested):,} tests,"
    if len(tested) == 1:
        correction = "With one test there is nothing to correct for:"
    return (
        f"{len(strong)} of {len(tested):,} {have} p ≤"
        f" {levels.overfit:g}{_names(strong)}; {len(weak)} more p ≤ {levels.watch:g}{_names(weak)}."
        f" {correction} {holm} {_verb(holm, 'passes', 'pass')} Holm's correction at"
        f" {_percent(levels.holm)}, {fdr - holm} more Benjamini and Hochberg's at"
        f" {_percent(levels.benjamini_hochberg)}."
    )


def _reported(analysis: Analysis) -> str:
    """Return the result by reported statistics, and by counts, which were rounded differently."""
    reported = [(line, line.reported) for line in analysis.lines if line.reported]
    if not reported:
        return ""
    levels = analysis.levels
    alone = [line for line, test in reported if test.p <= levels.single]
    lower = sum(line.gap < 0 for line in alone)
    firm = [line for line, test in reported if test.holm <= levels.holm]
    passing = sum(test.benjamini_hochberg <= levels.single for _, test in reported)
    raw_tests = [line.raw.two_sided for line in analysis.lines if line.raw]
    by_counts = _passing(raw_tests, levels)
    level = f"{levels.single:g}".lstrip("0")
    return (
        f"Two-sided, {len(alone)} of {len(reported)} have p ≤ {level} uncorrected, {lower} of them"
        f" with the higher score on the private set; {passing} pass Benjamini and Hochberg's"
        f" correction at {_percent(levels.single)}, {len(firm)} Holm's{_names(firm)}. From the"
        f" counts, which are computed from rounded shares, it is {by_counts}."
    )


def _passing(tests: Sequence[Tested], levels: Levels) -> str:
    """Return how many tests pass alone, and how many pass either correction, Holm's last."""
    alone = sum(test.p <= levels.single for test in tests)
    corrected = sum(test.benjamini_hochberg <= levels.single for test in tests)
    firm = sum(test.holm <= levels.holm for test in tests)
    return f"{alone}, {corrected} and {firm}"


def _peers(analysis: Analysis) -> str:
    tested = [(line, line.peers) for line in analysis.lines if line.peers]
    if not analysis.panel or not tested:
        return "There are fewer than eight models to compare with, so this cannot be tested."
    pairs = [(line, test.greater) for line, test in tested]
    nearest, test = min(tested, key=lambda pair: pair[1].greater.p)
    excluded = analysis.panel.put_aside
    candidates = len(analysis.panel.references) + len(excluded)
    if analysis.panel.known:
        caveat = "They are known from elsewhere not to overfit."
    else:
        caveat = "Whether they overfit is not known; if most of them do, this test finds little."
    left_out = "none was left out"
    if excluded:
        left_out = f"left out because they look overfitted: {', '.join(excluded)}"
    return (
        f"{_significant(pairs, analysis.levels)} The smallest p-value is that of {nearest.model}:"
        f" {points(test.gap)} pp beyond its peers, {p_text(test.greater.p)} alone,"
        f" {p_text(test.greater.holm)} after Holm's correction. Each model is compared with those"
        f" of other families among {candidates}; {left_out}. {caveat}"
    )


def _families(analysis: Analysis) -> str:
    tested = [family for family in analysis.families if is_tested(family)]
    if not tested:
        return ""
    above = []
    for family in tested:
        if family.raw.above:
            mean = points(family.raw.estimate)
            above.append(f"{family.family} ({mean} pp over {family.members})")
    above_peers = [family.family for family in tested if family.peers and family.peers.above]
    families = f"{len(tested)} {_verb(len(tested), 'family', 'families')} with three models or more"
    corrected = _verb(len(tested), "", ", corrected for that many")
    statements = [
        f"If both sets are equally hard: {', '.join(above) or 'none'}, of {families}{corrected}.",
        f"Against the other families: {', '.join(above_peers) or 'none'}.",
    ]
    untested = len(analysis.families) - len(tested)
    if untested:
        have = _verb(untested, "family has", "families have")
        statements.append(f"{untested} {have} one or two models, too few for a test.")
    return " ".join(statements)
