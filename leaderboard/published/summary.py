"""What a finished analysis says, in plain sentences: every number in them is read from it or counted in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.evidence.associations import correlation_text, likelihood, p_text
from leaderboard.evidence.summaries import Tested
from leaderboard.evidence.vocabulary import DECIDED, Levels
from leaderboard.published.models import PublishedTable
from leaderboard.published.results import Analysis, Basis, PanelFacts, PublishedLine

SELDOM = 0.05


NAMED = 6
"""Of longer lists only the length is told; the rows have the names."""


@dataclass(frozen=True)
class Finding:
    """One question that a reader has, and its answer."""

    question: str
    answer: str


def findings(table: PublishedTable, analysis: Analysis) -> tuple[Finding, ...]:
    """The questions and answers of one table, the most asked first."""
    found = [
        Finding(
            "Which models look fitted to the public set, and how sure is that?",
            _plainly(table, analysis),
        ),
        Finding(
            "Which gaps are more than chance, if both sets are equally hard?", _raw(table, analysis)
        ),
        Finding("And by the test that the table itself prints?", _printed(analysis)),
        Finding("And if the sets may differ, but most other models are fair?", _peers(analysis)),
        Finding("Which families?", _families(analysis)),
        Finding("Does the order of the models change?", _order(analysis)),
        Finding(
            "Do models that find the public items likelier have larger gaps?",
            likelihood(analysis.likelihood),
        ),
    ]
    return tuple(one for one in found if one.answer)


def counted(analysis: Analysis, basis: Basis) -> dict[str, int]:
    """How many models have each word."""
    words = [line.word(basis) for line in analysis.lines]
    return {word: words.count(word) for word in DECIDED}


def _named(lines: Sequence[PublishedLine]) -> str:
    names = [line.model for line in sorted(lines, key=lambda line: -line.gap)]
    return f" ({', '.join(names)})" if 0 < len(names) <= NAMED else ""


def _set(name: str) -> str:
    """A set that has no name of its own is called what it is."""
    return f"the {name} set" if name in ("public", "private") else name


def _plainly(table: PublishedTable, analysis: Analysis) -> str:
    """The answer under the supposition that is shown first, without a name of a test."""
    number = counted(analysis, analysis.basis)
    hot = [line for line in analysis.lines if line.word(analysis.basis) == "overfit"]
    public = _set(table.public_name)
    than = (
        f"than on {_set(table.private_name)}, which is held for equally hard"
        if analysis.basis == "raw"
        else "than models of other families with the same private score lead to expect"
    )
    first = (
        f"{len(hot)} of {len(analysis.lines)}{_named(hot)}: higher on {public} {than}, by more than chance. "
        "If no model were overfitted, a table would have any such level in at most "
        f"{100 * analysis.levels.overfit:g}% of cases."
        if hot
        else f"None that this can show: nowhere is the score on {public} higher {than}, by more than chance."
    )
    watched = f" {number['watch']} more may be: of these and those about {100 * analysis.levels.watch:g}% may be wrong."
    noisy = f" {number['cannot_tell']} are too noisy to tell."
    return first + (watched if number["watch"] else "") + (noisy if number["cannot_tell"] else "")


def _raw(table: PublishedTable, analysis: Analysis) -> str:
    lines = analysis.lines
    levels = analysis.levels
    firm = [line for line in lines if line.raw.greater.holm <= levels.overfit]
    likely = [
        line
        for line in lines
        if line.raw.greater.benjamini_hochberg <= levels.watch and line not in firm
    ]
    grounds = (
        f" Its authors say so: {table.equally_hard}."
        if table.equally_hard
        else " Nobody vouches for that here."
    )
    return (
        f"{len(firm)} of {len(lines)} gaps survive Holm's correction at {100 * levels.overfit:g}%"
        f"{_named(firm)}; {len(likely)} more pass Benjamini and Hochberg's at {100 * levels.watch:g}%"
        f"{_named(likely)}. One-sided, public above private, from the counts.{grounds}"
    )


def _printed(analysis: Analysis) -> str:
    """Two-sided, from the printed statistics and from the counts, which were rounded differently."""
    printed = [(line, line.printed) for line in analysis.lines if line.printed]
    if not printed:
        return ""
    levels = analysis.levels
    single = f"{levels.single:g}".lstrip("0")
    told = [line for line, test in printed if test.p <= levels.single]
    lower = sum(line.gap < 0 for line in told)
    firm = [line for line, test in printed if test.holm <= levels.overfit]
    kept = sum(test.benjamini_hochberg <= levels.overfit for _, test in printed)
    again = _two_sided([line.raw.two_sided for line in analysis.lines], levels)
    return (
        f"Two-sided, {len(told)} of {len(printed)} have p ≤ {single} uncorrected, {lower} of them higher on "
        f"the private set; {kept} pass Benjamini and Hochberg's correction at "
        f"{100 * levels.overfit:g}%, {len(firm)} survive Holm's{_named(firm)}. "
        f"From the counts that its shares round to it is {again}."
    )


def _two_sided(tests: Sequence[Tested], levels: Levels) -> str:
    uncorrected = sum(test.p <= levels.single for test in tests)
    kept = sum(test.benjamini_hochberg <= levels.overfit for test in tests)
    firm = sum(test.holm <= levels.overfit for test in tests)
    return f"{uncorrected}, {kept} and {firm}"


def _peers(analysis: Analysis) -> str:
    levels = analysis.levels
    tested = [(line, line.peers) for line in analysis.lines if line.peers]
    if not analysis.panel or not tested:
        return "There are fewer than eight models to compare with, so this cannot be asked."
    firm = [line for line, test in tested if test.greater.holm <= levels.overfit]
    likely = [
        line
        for line, test in tested
        if test.greater.benjamini_hochberg <= levels.watch and line not in firm
    ]
    nearest, test = min(tested, key=lambda one: one[1].greater.p)
    aside = analysis.panel.put_aside
    left = (
        f"put aside as suspect: {', '.join(aside)}"
        if aside
        else "none of them was put aside as suspect"
    )
    which = "surest" if firm else "nearest"
    return (
        f"{len(firm)} of {len(tested)} stand out after Holm's correction{_named(firm)}, {len(likely)} more after "
        f"Benjamini and Hochberg's{_named(likely)}. The {which} is {nearest.model}: {_pp(test.gap)} pp beside what its "
        f"peers' scores lead to expect, {p_text(test.greater.p)} alone, "
        f"{p_text(test.greater.holm)} among all. Each model is compared with those of "
        f"other families among {len(analysis.panel.references) + len(aside)}; {left}. "
        f"{_vouched(analysis.panel)}"
    )


def _vouched(panel: PanelFacts) -> str:
    if panel.known:
        return "It is known from elsewhere that these are not fitted to the public set."
    return "Whether these are fitted to the public set themselves is not known; if most are, this test sees little."


def _families(analysis: Analysis) -> str:
    pooled = [one for one in analysis.families if one.members >= 3]
    if not pooled:
        return ""
    above = [
        f"{one.family} ({_pp(one.raw.estimate)} pp over {one.members})"
        for one in pooled
        if one.raw.above
    ]
    beside = [one.family for one in pooled if one.peers and one.peers.above]
    few = len(analysis.families) - len(pooled)
    return (
        f"If both sets are equally hard: {', '.join(above) or 'none'}, of {len(pooled)} families with three models or "
        f"more, allowing for that many. Beside the other families: {', '.join(beside) or 'none'}. {few} families have "
        "one or two models here, too few to say anything but which way they point."
    )


def _order(analysis: Analysis) -> str:
    order = analysis.order
    if not order.pairs or order.spearman is None:
        return ""
    share = order.changed / order.pairs
    return (
        f"{'Hardly: ' if share < SELDOM else ''}{order.changed} of {order.pairs:,} pairs that differ in public score "
        f"({100 * share:.1f}%) change places; the rank correlation is {correlation_text(order.spearman, 4)}."
    )


def _pp(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")
