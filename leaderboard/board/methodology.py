"""What is done here, in words, made from what is in force: protocols, graders, limits, levels, the noise floor.

The page `/methodology/` and ``docs/methodology.md`` are both made of these sections (``manage.py methodology``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluator import grading, protocols
from evaluator.contract import LEAST_CELL, Outcome, Reason
from evaluator.protocols.likelihood import LOGLIK_1
from leaderboard.board.snapshot import METHOD
from leaderboard.evidence import decide as cohorts
from leaderboard.evidence import likelihoods, statistics
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.statistics import counts as of_counts
from leaderboard.evidence.statistics import fragility, intervals, meta, ranksets
from leaderboard.evidence.vocabulary import LEVELS

ASKED: dict[protocols.Asked, str] = {
    "checkpoint": "weights that run here",
    "completions": "endpoints with a completions API",
    "chat": "endpoints with a chat API",
}
OUTCOMES = {
    Outcome.RIGHT: "the answer that was read is the number of the gold answer",
    Outcome.WRONG: "another answer was read",
    Outcome.NO_ANSWER: "no answer could be read",
    Outcome.TRUNCATED: "the token limit ended the text before an answer could be read",
    Outcome.NOT_COUNTED: "the system could not be asked; such an item is asked again, and a run is ranked without none",
}
REASONS: dict[Reason, str] = {
    "filtered": "a content filter or a moderation refused the item, or the model itself in the field for that",
    "refused": "the endpoint refused the request for this item with another status",
    "too_long": "the prompt did not fit into the endpoint's context",
    "bad_response": "the response was no completion, however often it was asked for",
    "reasoning_only": "the answer stood in the reasoning field only",
}
GRADERS = {
    "numeric-2": "reads where and how an answer is stated as a person would; the default of what is new",
    "numeric-1": "reads a stated answer as a person would, in fewer forms; of every protocol of before numeric-2",
    "lm-eval-strict-3": "lm-evaluation-harness, task gsm8k 3.0, strict-match",
    "lm-eval-flexible-3": "lm-evaluation-harness, task gsm8k 3.0, flexible-extract",
}


@dataclass(frozen=True)
class Section:
    """One subject. ``anchor`` is what a link to it ends with; ``terms`` are pairs of a name and what it means."""

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    code: str = ""


def sections() -> tuple[Section, ...]:
    """Everything, in the order in which a run goes through it."""
    return (
        *_asking(),
        *_protocols(),
        *_grading(),
        *_numbers(),
        *_evidence(),
        *_adjusted(),
        *_likelihood(),
        *_leaks(),
        *_order(),
    )


def markdown() -> str:
    """The sections as one document."""
    parts = [
        "# Methodology",
        "What is done with a submission, made from the configuration in force by `manage.py methodology`. The reasons"
        " are in [decisions](adr/), the forms of answers that are read in [grading](grading.md).",
    ]
    for one in sections():
        parts += [f'<a id="{one.anchor}"></a>\n\n## {one.title}', *one.text]
        parts += (
            ["\n".join(f"- **{name}**: {meaning}." for name, meaning in one.terms)]
            if one.terms
            else []
        )
        parts += [f"```text\n{one.code}\n```"] if one.code else []
    return "\n\n".join(parts) + "\n"


def _pp(share: float) -> str:
    return f"{100 * share:g}"


def _asking() -> Iterator[Section]:
    yield Section(
        "asking",
        "How a model is asked",
        (
            "A pair of sets has one protocol, and so one budget of tokens, for both. A published protocol never"
            " changes: a change is a new id, and a test pins the digest of each. A submission may choose another"
            " protocol that the pair allows; what it comes to is neither ranked with the pair's own nor counted for a"
            " release.",
            "Shots belong to a set and are drawn for the whole set in its order, whatever part of it is asked. A sealed"
            " item is decrypted only after the line that says who will see it is in the evaluator's journal, on disk.",
            "Where several samples are asked, each is kept and graded; the outcome of an item is that of the answer"
            " which most of them gave, of equals the one that came first. maj@k is told without bias, as the mean over"
            f" all subsets of k answers. Of a sealed set no cell of fewer than {LEAST_CELL} items is told.",
            "A text ends before the first stop string of its protocol. It is cut there here, whatever the server does,"
            " for every engine and every endpoint, before any grader reads it. Chat models are best asked by"
            " `gsm1k-5shot-chat-2` or `gsm1k-5shot-api-2`: a model that restates the question loses its answer where"
            " `Question:` is a stop string. Reasoning models of the large providers refuse `max_tokens`, `temperature`"
            " or `stop`; the protocols that end in `-reasoning-api` send none of them.",
            "Weights that run here then read every item that they were asked, in the same load of the engine, without"
            f" shots and without a cache of prefixes (`{LOGLIK_1.id}`): the mean log-likelihood per character of each"
            " set, in nats. Endpoints are not read.",
        ),
    )


def _protocols() -> Iterator[Section]:
    for name in protocols.ids():
        protocol = protocols.get(name)
        systems = [word for asked, word in ASKED.items() if protocol.fits(asked)]
        asked = f"Can be asked of: {', '.join(systems) or 'nothing yet'}."
        text = (protocols.in_words(protocol), asked, f"Digest `{protocol.digest}`.")
        yield Section(name, f"Protocol {name}", text, code=protocol.question)


def _grading() -> Iterator[Section]:
    yield Section(
        "grading",
        "How an answer is graded",
        (
            "No model judges, and nothing of a completion is evaluated as a program. A gap uses one grader for both"
            " sets. Control items with known outcomes are graded in each run; where one differs, the run fails.",
        ),
        tuple(
            (f"`{name}`", f"{GRADERS[name]} (digest `{grading.digest(name)[:16]}…`)")
            for name in grading.ids()
        ),
    )
    yield Section(
        "outcomes",
        "Outcomes",
        (
            "Every assigned item counts in the denominator, so no answer and a cut-off answer are not right.",
        ),
        tuple(
            (outcome.name.lower().replace("_", " "), meaning)
            for outcome, meaning in OUTCOMES.items()
        ),
    )
    yield Section(
        "reasons",
        "Why an endpoint gave no answer",
        (
            "An endpoint may refuse one item and answer the others. Such an item has no answer, and the run goes on. A"
            " response that is no completion is asked for again first. The reason is counted over a whole set, for a"
            f" sealed one over at least {LEAST_CELL} items or not at all. It follows from what the endpoint sent, never"
            " from the right answer.",
            "Where more than half of the items are refused, the run ends with a code that names the commonest reason,"
            " and those items stay open. A key that is refused for the first questions ends it at once.",
            "An answer that stands in the reasoning field only, with an empty content, is not read: whether it is an"
            " answer or a thought cannot be known. An endpoint that answers so throughout is set up wrongly; its run"
            " ends with a code that says so, and goes on when that is put right. Of a content in parts the text is"
            " read and the thinking is not. Of several choices the first is read. A finish reason of null says that the"
            " text did not end, so it counts as cut.",
        ),
        tuple((reason.replace("_", " "), meaning) for reason, meaning in REASONS.items()),
    )


def _numbers() -> Iterator[Section]:
    level = _pp(intervals.LEVEL)
    yield Section(
        "score",
        "Score and its interval",
        (
            f"The share of right answers, with Wilson's {level}% interval; under {intervals.SMALL_CELL} items Clopper"
            " and Pearson's, which is never too short. If a model were asked many such sets, intervals made this way"
            f" would hold its true score {level} times in 100.",
        ),
        code="(2k + z² ± z √(z² + 4k(n - k)/n)) / 2(n + z²)        z = 1.96, k right of n",
    )
    yield Section(
        "gap",
        "Gap and its interval",
        (
            "Public less private score, in percentage points (pp). Its interval is Newcombe's (method 10, from the two"
            " Wilson intervals l to u); its test Miettinen and Nurminen's score test, one-sided: public higher.",
            "Answers that were cut off could have been right or wrong; where there are any, the gaps between which they"
            " could move it are told as well.",
        ),
        code="d - √((p1 - l1)² + (u2 - p2)²)  to  d + √((u1 - p1)² + (p2 - l2)²)        d = p1 - p2",
    )
    floor = noise_floor()
    yield Section(
        "noise",
        "Noise floor",
        (
            f"The same weights ({floor.model}) were asked the same {floor.n} items at temperature 0 by"
            f" {' and '.join(floor.engines)}, with {', '.join(map(str, floor.at_once))} requests at once, and repeated:"
            f" at most {floor.verdicts_differ} verdicts differed. Less than {floor.floor_pp} pp (95% bound) sets no two"
            f" models apart. Measured on {floor.moment[:10]} on {floor.hardware}.",
        ),
    )


def _evidence() -> Iterator[Section]:
    yield Section(
        "evidence",
        "Evidence",
        (
            "Scores on the sealed set are published, and words decided once and for all, when the board is closed: for"
            " all runs since the close before"
            f" (method `{cohorts.METHOD}`). Later models change no earlier word; another method decides beside it."
            " A gap is evidence that a model is fitted to the public set, whatever the cause.",
            "Which test it is follows from the pair. Sets that are exchangeable by construction (one generator, or one"
            " set split at random; sealed with the set): the raw gap. Any other pair: the adjusted gap.",
        ),
        (
            (
                "overfit",
                "more than chance: the p-value after Holm's correction over the cohort is at most"
                f" {LEVELS.overfit:g}, so that a cohort has any such verdict by chance in at most"
                f" {_pp(LEVELS.overfit)}% of cases",
            ),
            (
                "watch",
                "weaker: the p-value after Benjamini and Hochberg's correction is at most"
                f" {LEVELS.watch:g}, so that of all models with this level or “overfit” about"
                f" {_pp(LEVELS.watch)}% have it by chance",
            ),
            (
                "cannot tell",
                f"too noisy: more than {_pp(LEVELS.truncated)}% of the answers on a set were truncated,"
                f" which comes first; or a gap of {_pp(LEVELS.visible_gap)} pp would be found in"
                f" fewer than {_pp(LEVELS.power)}% of cases; or there is nothing to compare with",
            ),
            ("no evidence", "no more than chance, which does not say that there is no gap"),
            (
                "not decided yet",
                "the board is made by another grader since, and was not closed again",
            ),
        ),
    )


def _adjusted() -> Iterator[Section]:
    yield Section(
        "adjusted",
        "Adjusted gap",
        (
            "The public score less what reference models of the same private score lead to expect, so that a set that"
            " is harder counts against nobody. References are models that maintainers hold for not fitted to the public"
            f" set, each with its reason on the board; at least {statistics.FEWEST_REFERENCES}"
            " of other lineages than the model's own, else only the raw gap is shown. A reference that looks"
            " fitted to it is put aside and named.",
            "By the items where all have outcomes: a logistic analysis of covariance of right on the item's easiness"
            " and on the set, compared with the same contrast of each reference in turn. Else by the counts: a curve"
            " through the references on the logit scale, with their own spread τ² (Paule and Mandel). References and"
            f" models are compared between {_pp(of_counts.LOWEST)}% and {_pp(of_counts.HIGHEST)}% private score.",
            f"“Turns with n references” is the fewest that would have to be fitted to the public set by"
            f" {_pp(fragility.CONTAMINATION)} pp for the word to be another.",
        ),
        code="t = (y - f(x)) / √(V(y) + f'(x)² V(x) + τ² + aᵀ Cov(b) a)        x, y: logits of private and public",
    )


def _likelihood() -> Iterator[Section]:
    yield Section(
        "likelihood",
        "Does the gap go with the likelihood?",
        (
            "Weights that were trained on the public items find their texts likelier. Better models find any text"
            " likelier too, so a board says both: how the gap goes with the log-likelihood of the public items, and how"
            " with the difference, public less private, which a model gains on both sides of.",
            f"From {likelihoods.FEWEST} models on: Spearman's and Kendall's correlations with their intervals,"
            " Spearman's also by a bootstrap that draws whole families (bias-corrected and accelerated), without the"
            f" models that solve less than {likelihoods.STRONG:.0%} of the public set, with size and private score held"
            " fixed, and with each family left out in turn. They annotate: no word of evidence depends on them.",
        ),
    )


def _leaks() -> Iterator[Section]:
    yield Section(
        "leak",
        "Has the private set leaked?",
        (
            "Items are dealt by a committed seed before the first use: some blocks may be shown to endpoints, others"
            " only to weights that run here without a network. Both are as hard by the draw. So weights that were"
            " trained on what an endpoint was shown do better on the exposed blocks than on the local ones; the"
            " difference has Miettinen and Nurminen's interval and one-sided test, and beside it stands the smallest"
            f" leak that would be found in {_pp(LEVELS.power)}% of cases. It is of one model alone, not"
            " corrected for how many there are, and changes no word of evidence.",
            f"Told of weights where either part by itself has at least {LEAST_CELL} items (fewer in a demonstration"
            " that is sealed so).",
        ),
    )
    yield Section(
        "first-look",
        "Was it a first look?",
        (
            "An endpoint sees what it is asked, and whoever runs it may keep that. So a row says how many of a run's"
            " items its provider had been shown before, by the lines that evaluators sign before they decrypt. The"
            " provider is the host that is called. Before is what other runs showed it before this one's first line, by"
            " a log's own order and, between logs, by their clocks; at first contact is what this run was the first to"
            " show it. A run's own earlier attempts are part of it. Lines that come late count in the next ranking.",
            "Who was self-declared has seen the season's block; once listed it is asked all exposed blocks, and meets"
            " the others for the first time. Which item lies where was drawn before the first use, so both sides are as"
            " hard, and a model that learned from what its provider was shown does better on that side: compared, told"
            " and left out of every word of evidence as above. Only whole parts of the set are compared (each season's"
            " block is one, the other exposed blocks another), so that no number is over fewer than"
            f" {LEAST_CELL} items; a part of which the provider had been shown some items only is on neither side.",
        ),
        (
            (
                "first look",
                "the provider had been shown none of the items before; there is nothing to compare",
            ),
            ("in part", "some before, some not; compared where either side has a whole part"),
            ("not a first look", "each of them before; there is nothing to compare"),
            ("not known", "the published logs do not say of each item when this run showed it"),
        ),
    )


def _order() -> Iterator[Section]:
    yield Section(
        "ranks",
        "Ranks",
        (
            "By private score. A range such as 2–3 says that the scores are too close, on so many items, to tell which"
            " of these places it is: the model is not told apart from others on the private items that both were"
            " asked. It goes from 1 + the number of models that are better beyond chance, to the number of models"
            f" less those that are worse. Up to {ranksets.EXACT_UP_TO} models all ranges hold at once with"
            f" {_pp(intervals.LEVEL)}% confidence (largest studentised difference, stepped down, multiplier bootstrap:"
            f" Mogstad, Romano, Shaikh and Wilhelm, 2024); beyond, each holds by itself (method `{METHOD}`).",
        ),
    )
    yield Section(
        "families",
        "Families",
        (
            "The mean gap of a lineage by random effects, with the errors that its members share because they answered"
            f" the same items, and Hartung and Knapp's interval; under {meta.FEWEST_MEMBERS} members a sign test only.",
        ),
    )
