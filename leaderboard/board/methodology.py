"""Methodology as text, made from the configuration in force.

The page `/methodology/` and ``docs/methodology.md`` are both made of these sections
(``manage.py methodology``): protocols, graders, limits, evidence levels, the noise floor.
"""

from dataclasses import dataclass

from evaluator import grading, protocols
from evaluator.contract import ADAPTIVE_1, MIN_CELL_SIZE, Outcome
from evaluator.protocols.likelihood import LOGLIK_1
from leaderboard.board.reasons import REASONS
from leaderboard.board.snapshot import METHOD
from leaderboard.evidence import decide as cohorts
from leaderboard.evidence import explain, likelihoods, statistics
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.statistics import (
    adaptive,
    difficulty,
    fragility,
    intervals,
    meta,
    ranksets,
)
from leaderboard.evidence.statistics import counts as of_counts
from leaderboard.evidence.vocabulary import LARGEST_TRIED, LEVELS
from leaderboard.submissions.states import LATER_TRY_DAYS

ASKED: dict[protocols.Asked, str] = {
    "checkpoint": "weights that run here",
    "completions": "endpoints with a completions API",
    "chat": "endpoints with a chat API",
    "system": "systems of a generator and a verifier that both run here",
}
OUTCOMES = {
    Outcome.RIGHT: "the answer that was read is the gold answer; a program returned it, or passed"
    " the item's tests",
    Outcome.WRONG: "another answer was read; a program failed",
    Outcome.NO_ANSWER: "no answer could be read, or no program",
    Outcome.TRUNCATED: "the token limit ended the text before an answer could be read, or in a"
    " program that failed",
    Outcome.NOT_COUNTED: "the system could not be asked; the item is asked again, and a run with"
    " such an item is not ranked",
}
GRADERS = {
    "numeric-2": "reads an answer where and how a person would; the default of new protocols",
    "numeric-1": "reads a stated answer as a person would, in fewer forms; for protocols older than"
    " numeric-2",
    "lm-eval-strict-3": "lm-evaluation-harness, task gsm8k 3.0, strict-match",
    "lm-eval-flexible-3": "lm-evaluation-harness, task gsm8k 3.0, flexible-extract",
    "choice-1": "reads the letter of a choice",
    "expression-1": "compares an expression with math-verify 0.9.0, in a jail",
    "tests-1": "executes the program that a completion makes, and the item's hidden unit tests",
    "program-1": "executes the program that a completion makes, whose value is the answer",
}


@dataclass(frozen=True)
class Section:
    """Subject of the methodology. ``anchor`` ends its address; ``terms`` are names and meanings."""

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    code: str = ""


def _pp(share: float) -> str:
    return f"{100 * share:g}"


ASKING = Section(
    "asking",
    "How a model is asked",
    (
        "Both sets of a pair are asked by one protocol, with the same token limit. A"
        " published protocol never changes: a change gets a new id, and a test pins the"
        " digest of each protocol. A submission may choose another protocol that the pair"
        " allows; its result is neither ranked with those of the pair's own protocol nor"
        " counted for a release.",
        "Shots belong to a set. They are drawn for the whole set in set order, whatever part"
        " of it is asked. A sealed item is decrypted only after the evaluator's journal on"
        " disk has the line that names its recipient.",
        "Where several samples are asked, each is stored and graded. The outcome of an item"
        " is that of the most frequent answer; among equally frequent answers the first one"
        " counts. maj@k is unbiased: it is the mean over all subsets of k answers. For a"
        f" sealed set no number over fewer than {MIN_CELL_SIZE} items is published.",
        "A protocol may score the mean over the samples instead (`gsm1k-5shot-k4`). The score"
        " of an item is then the share of its samples that are right, and that of a set the"
        " mean over its items. The answers to one item are a cluster: the standard error is"
        " that of the items' shares. So four samples make a score surer, but not as sure as"
        " four times the items would. Intervals, ranks and the test of the gap use that error"
        " (by counts through the number of single answers with the same error, by items"
        " through the dispersion of the shares). The counts by outcome and the comparison of"
        " graders are of the majority answers; the log commits to these counts and to the"
        " number of right samples. Only weights that run here are asked so.",
        "Such a run also has pass@k, the share of items of which at least one of k answers is"
        " right. With c of n answers to an item right it is 1 - C(n - c, k) / C(n, k), which is"
        " unbiased (M. Chen et al., 2021), and for the set the mean over its items. Its"
        " interval takes the answers to an item as a cluster, as that of the mean does.",
        "Where a protocol asks for a program, what it puts before a completion and the"
        " completion are executed together, in a sandbox that belongs to the run alone. An"
        " item's hidden tests run apart from the program, and no model is ever shown them.",
        "In a system of two models a generator writes the samples, and a verifier scores"
        " each; the best score is the answer (`tinygsm-verify-48`). Of equal scores the first"
        " wins. A sample without an answer wins only where all are without, and a score that"
        " is no finite number ranks last. The run's page has the accuracy by the number of"
        " candidates, as a mean over all subsets, with a random choice, the vote and the"
        " share of items with a right candidate. Items are the clusters of its intervals."
        " Where all candidates do worse than fewer, and an interval for the whole curve"
        " excludes chance, the page states that more candidates hurt.",
        "A text ends before the first stop string of its protocol. Holdfast cuts it there"
        " itself, for every engine and every endpoint, before any grader reads it. For chat"
        " models use `gsm1k-5shot-chat-2` or `gsm1k-5shot-api-2`: where `Question:` is a stop"
        " string, a model that restates the question loses its answer. Reasoning models of"
        " the large providers refuse `max_tokens`, `temperature` or `stop`; the protocols"
        " that end in `-reasoning-api` send none of them.",
        "Weights that run here then read every item that they were asked, in the same load of"
        f" the engine, without shots and without a prefix cache (`{LOGLIK_1.id}`). The result"
        " is the mean log-likelihood per character of each set, in nats. Endpoints do not"
        " read items.",
    ),
)

GRADING = (
    Section(
        "grading",
        "How an answer is graded",
        (
            "No model acts as a judge. A completion is read as text; only the graders of programs"
            " execute it, in a sandbox. Both sets of a pair are graded by the same grader. Each"
            " run also grades control items with known outcomes; if one of them differs, the run"
            " fails.",
        ),
        tuple(
            (f"`{name}`", f"{GRADERS[name]} (digest `{grading.digest(name)[:16]}…`)")
            for name in grading.ids()
        ),
    ),
    Section(
        "outcomes",
        "Outcomes",
        (
            "Every assigned item counts in the denominator, so a missing or cut-off answer lowers"
            " the score.",
        ),
        tuple(
            (outcome.name.lower().replace("_", " "), meaning)
            for outcome, meaning in OUTCOMES.items()
        ),
    ),
    Section(
        "reasons",
        "Why an endpoint gave no answer",
        (
            "An endpoint may refuse one item and answer the others. Such an item counts as no"
            " answer, and the run goes on. If a response is not a completion, the item is asked"
            " again first. Reasons are counted over a whole set; for a sealed set only if there"
            f" are at least {MIN_CELL_SIZE} items. They follow from what the endpoint sent, never"
            " from the right answer.",
            "If more than half of the items are refused, the run ends with a code that names the"
            " most frequent reason, and those items stay open. If the first questions are refused"
            " because of the key, the run ends at once.",
            "An answer that stands in the reasoning field only, with an empty content, is not"
            " read: it may be an answer or a thought. If an endpoint does this throughout, it is"
            " set up wrongly; its run ends with a code for this, and goes on when the endpoint is"
            " mended. If the content has parts, the text is read and the thinking is not. Of"
            " several choices the first is read. A finish reason of null means that the text did"
            " not end, so it counts as cut off.",
        ),
        tuple((reason.replace("_", " "), meaning) for reason, meaning in REASONS.items()),
    ),
)

_LEVEL = _pp(intervals.LEVEL)
_LOOKS = ", ".join(map(_pp, adaptive.SHARES[:-1]))
_LAST_LOOK = f"{_pp(adaptive.SHARES[-1])}%"
_FUTILITY = ", ".join(f"{bound:g}" for bound in adaptive.FUTILITY)

SCORES = (
    Section(
        "score",
        "Score and its interval",
        (
            f"The score is the share of right answers, with Wilson's {_LEVEL}% interval. Under"
            f" {intervals.SMALL_CELL} items it is Clopper and Pearson's interval, which is never"
            f" too short. If a model were asked many such sets, {_LEVEL} of 100 intervals made this"
            " way would contain its true score.",
        ),
        code="(2k + z² ± z √(z² + 4k(n - k)/n)) / 2(n + z²)        z = 1.96, k right of n",
    ),
    Section(
        "steps",
        "Scores in steps",
        (
            "The owner of a self-declared endpoint (T2) chooses which questions an answer is tried"
            " on, so exact scores of several runs would disclose single outcomes. Its score on the"
            " season's block of n items is published in steps of ⌈√n / 2⌉ items, the largest"
            " standard error of such a score. A further score of one party, by organisation or by"
            " host, is published only if it differs from all that the party has on this block by"
            " more than its noise, ⌈√n⌉ items or two standard errors; else the party's best score"
            " within the noise is published again (A. Blum and M. Hardt, “The Ladder”, ICML 2015)."
            " Runs count in the order in which they were graded.",
            "A rounded score is at most half a step from the exact one, a repeated one at most the"
            " noise; each row states which. Its interval, and that of the gap, hold for every score"
            " that it may stand for. The evidence is decided by the"
            " highest of them, so steps make no gap. Such a score is no reference for others and"
            " is left out of the mean gap of a family; its ranks are by overlapping intervals. All"
            " other numbers are made of published scores; the closing on the ledger commits to the"
            " exact one and is not opened.",
        ),
        code="step = ⌈√n / 2⌉        noise = ⌈√n⌉",
    ),
    Section(
        "adaptive",
        "Adaptive runs",
        (
            "Each sealed item that an endpoint is shown may leak. A pair can offer the adaptive"
            f" test `{ADAPTIVE_1}`: a listed endpoint (T1) is asked all public items, then only as"
            f" many sealed ones as its verdict needs, at most {_LAST_LOOK}. Weights, self-declared"
            " endpoints, and every run while the pair has too few references are asked all their"
            " items.",
            "The public answers suggest an ability, in a Rasch model with the easiness of each"
            " item among the references. The sealed items are asked in the order of their"
            " information p(1 - p) at that ability; equally informative ones in the order of a"
            f" seed. After {_LOOKS} and {_LAST_LOOK} of them, as far as these are no fewer than the"
            " minimum cell size, the adjusted gap is tested. Each reference is replayed through the"
            " same procedure, leaving itself out: each is compared over its own most informative"
            " items. The run ends once the gap is evidence of level “overfit”, once z is below"
            f" {_FUTILITY} at the looks before the last, or at the last. It also ends at the first"
            " look if no reference has an ability like the model's.",
            "Looking several times would raise the chance of a false finding, so each level is"
            " spent over the looks by the function of O'Brien and Fleming's type (K. K. G. Lan and"
            " D. L. DeMets, Biometrika 70 (1983) 659). The published p-value is the smallest level"
            " at which the looks that were made find the model; so the levels mean the same as for"
            " any other run.",
            "The private score is that of all the planned items: those that were asked count as"
            " they were answered, the others as the Rasch model expects. Its interval is wider than"
            " that of a score over all items: references whose full score is known, replayed in"
            " the same way, show how far the estimate is off. Such a row is marked “adaptive” and"
            " its score with ≈; it ranks by intervals alone, is no reference for others and is left"
            " out of the mean gap of a family. The interval of its adjusted gap is that of one"
            " look.",
            "Plan and seed are fixed before the run: references, looks, levels, bounds, and a"
            " salted hash of the easiness of the items. The grants of the site and every exposure"
            " on the ledger name the digest of the plan. The evaluator derives the items from the"
            " plan itself and refuses a job with another plan or other items.",
        ),
        code="α(τ) = 2 - 2 Φ(z₁₋α/₂ / √τ)        τ = information at a look / at the last",
    ),
    Section(
        "gap",
        "Gap and its interval",
        (
            "The gap is the public score minus the private score, in percentage points (pp). Its"
            " interval is Newcombe's (method 10, from the two Wilson intervals l to u). Its test"
            " is Miettinen and Nurminen's score test, one-sided: public higher.",
            "An answer that was cut off could have been right or wrong. Where there are such"
            " answers, the page also gives the smallest and the largest gap that they allow.",
        ),
        code="d - √((p1 - l1)² + (u2 - p2)²)  to  d + √((u1 - p1)² + (p2 - l2)²)       d = p1 - p2",
    ),
)

ADJUSTED = Section(
    "adjusted",
    "Adjusted gap",
    (
        "The adjusted gap is the public score minus the public score that reference models of"
        " the same private score lead to expect. So a private set that is harder"
        " disadvantages no model. References are models that maintainers consider not fitted"
        " to the public set; the board gives the reason for each. At least"
        f" {statistics.FEWEST_REFERENCES} must be of other lineages than the model's own, else"
        " only the raw gap is shown. A reference that looks fitted to the public set is set"
        " aside and named.",
        "Where all models have outcomes for each item, each reference has a contrast: how much"
        " likelier it answers a public item than a private one that is as easy for the other"
        " references, in logits. The contrasts are regressed on ability (random effects, τ² by"
        " Paule and Mandel; the corrected information criterion chooses between a constant and"
        " a line), because sets that discriminate differently shift strong and weak models"
        " differently. That gives the contrast δ₀ of a model of this ability that is not"
        " fitted, with its variance v. The model is then tested by the score statistic at δ₀:"
        " U is the number of its right public answers less those expected, I its information."
        " The statistic grows with each right public answer, up to the last.",
        "Elsewhere the contrast is the difference of the logits of both scores, and f its"
        " regression (up to a parabola) plus the private logit.",
        "Each lineage of references has one vote: the degrees of freedom and τ² are those of"
        " lineages, because models of a lineage err together. At least"
        f" {statistics.FEWEST_VOTES} lineages are needed. A model is not tested if its private"
        " score is beyond those of all references by more than sampling explains (1.96 standard"
        " errors), nor if it is outside"
        f" {_pp(of_counts.LOWEST)}% to {_pp(of_counts.HIGHEST)}%.",
        "“Changes with n references” is the smallest number of references which, if they were"
        f" fitted to the public set by {_pp(fragility.CONTAMINATION)} pp, would change the"
        " level. It is found by counts, in closes of up to"
        f" {LARGEST_TRIED} runs.",
    ),
    code="by items   t = U / √(I + I² v)        v = τ² + Var δ₀\n"
    "by counts  t = (y - f(x)) / √(V(y) + f'(x)² V(x) + τ² + Var f(x))"
    "        x, y: logits of private and public",
)

LIKELIHOOD = Section(
    "likelihood",
    "Does the gap go with the likelihood?",
    (
        "Weights that were trained on the public items give their texts a higher likelihood."
        " Better models give any text a higher likelihood too. So a board states two"
        " associations: of the gap with the log-likelihood of the public items, and of the"
        " gap with the difference, public minus private, in which a model's general strength"
        " cancels.",
        f"From {likelihoods.FEWEST} models on, it gives Spearman's and Kendall's correlations"
        " with their intervals, Spearman's also by a bootstrap that draws whole families"
        " (bias-corrected and accelerated), without the models that solve less than"
        f" {likelihoods.STRONG:.0%} of the public set, with size and private score held fixed,"
        " and with each family left out in turn. No evidence level depends on them.",
    ),
)

LEAKS = (
    Section(
        "leak",
        "Has the private set leaked?",
        (
            "Before the first use a committed seed deals the items: some blocks may be shown to"
            " endpoints, others only to weights that run here without a network. Because of the"
            " draw both are equally hard. So weights that were trained on the items shown to an"
            " endpoint do better on those items than on the local ones. The difference has"
            " Miettinen and Nurminen's interval and one-sided test. Next to it stands the"
            f" smallest leak that would be found in {_pp(LEVELS.power)}% of cases. It is about one"
            " model alone, is not corrected for the number of models, and changes no evidence"
            " level.",
            "Only parts of the set count of which endpoints had been shown every item before the"
            " run started: no other item can have leaked into its weights. While there is no such"
            " part, no comparison is published. Either side has at least"
            f" {MIN_CELL_SIZE} items (fewer in a demonstration that is sealed so).",
        ),
    ),
    Section(
        "prior-exposure",
        "Had the provider seen the items before?",
        (
            "An endpoint sees the items that it is asked, and its operator may record them. So a"
            " row states how many of a run's items its provider had been shown before, by the"
            " lines that evaluators sign before they decrypt. The provider is the host that is"
            " called. An item was shown before if another run showed it before this run's first"
            " line, by the order of a log and, between logs, by their clocks. It is new if this"
            " run was the first to show it. A run's own earlier attempts belong to it. Lines that"
            " arrive late count in the next ranking.",
            "A listed endpoint is asked the exposed blocks in stages: its provider's first run asks"
            " the first stage, and each later cohort adds one. So a run has items that its provider"
            " was shown before next to items that it is shown first. A self-declared endpoint has"
            " seen the season's block; that block is in the first stage. A set that was sealed"
            " without stages is asked all exposed blocks at once.",
            "A draw before the first use placed each item, so both sides are equally hard, and a"
            " model that learned from its provider's items does better on the side shown before."
            " The difference and its interval are computed as above and change no evidence level."
            " Only whole parts of the set are compared (each season's block is one, the other"
            f" blocks of each stage another), so no number is over fewer than {MIN_CELL_SIZE} items"
            " (fewer in a demonstration that is sealed so). A part of which the provider had been"
            " shown only some items is on neither side.",
            "Of a set with stages all runs of a model at its provider are tested together. If a"
            " share m of the shown items was memorised, an item that was shown before is answered"
            " right with chance p + m (1 - p), and a fresh one with chance p. p depends on the run,"
            " so a better model is no leak, and on how many of the weights that were run here had"
            " the item right. Answers to one item in several runs are correlated; so an item that"
            " was fresh once and shown before later is compared with itself. The row states m with"
            " its 95% interval and the one-sided p-value of the efficient score at m = 0. It is"
            " multiplied by the number of comparisons that the stages allow, and the smallest so"
            " far counts. m is the share of what the model would have had wrong.",
        ),
        (
            ("none", "the provider had been shown no item before; nothing to compare"),
            ("in part", "it had been shown some; compared if either side has a whole part"),
            ("all", "it had been shown every item; nothing new to compare"),
            ("not known", "the published logs do not state for each item when this run showed it"),
        ),
    ),
)

COMPARISONS = (
    Section(
        "paired",
        "Two models on the same items",
        (
            "Two models are compared on the items that both were asked. Only items that one has"
            " right and the other has not tell them apart. If the models were equally good, each"
            " of these items would be as likely to favour the one as the other: the p-value is"
            " McNemar's exact test, two-sided. It is for one pair of models and not corrected for"
            " how many are compared; the ranks are.",
            "On a sealed set only weights that were run here are compared, and the result is"
            " coarse: p ≤ .001, .01, .05 or above, and an interval rounded outwards to half a"
            " point. Exact counts for each pair of runs would let crafted weights carry more of"
            " the sealed items out than two scores do.",
            "The public items are also compared in thirds by difficulty: by the share of the other"
            f" ranked models, {difficulty.FEWEST_OTHERS} or more, that had an item right. On a"
            " sealed set each third would be three more results for every pair of models, and none"
            " is published.",
            "The gaps of two models differ by their difference on the public set less that on the"
            " sealed set. The sets have other items, so the two estimates are independent, and"
            " their intervals are joined as Newcombe does for two shares.",
        ),
    ),
    Section(
        "overlap",
        "Overlap with corpora",
        (
            "Maintainers may publish which items of a public set stand in a corpus, as"
            " `holdfast overlap` finds them: words in a row, word problems with nearly the same"
            " numbers and similar words, programs with like syntax trees. A run's score on these"
            " and on all other items may stand next to them. A match is a reason to read both"
            " texts, not evidence of training, and it changes no level. Sealed sets have none.",
        ),
    ),
    Section(
        "efficiency",
        "Efficient frontier",
        (
            "A model is on the frontier if no other ranked model has as high a private score with"
            " fewer parameters, and none of its size a higher one. Equals are on it together. A"
            " model of unknown size, such as most endpoints, is neither on it nor off it.",
            "A second frontier is against tokens: all that a system reads and writes for a public"
            " item, of every sample and by every model in it. Sealed items are not counted, because"
            " weights could carry them out by numbers of tokens. Tokenizers differ, and an"
            " endpoint's tokens are those that it states: they compare costs, not work.",
        ),
    ),
)

ORDER = (
    Section(
        "first-run",
        "Which run ranks",
        (
            "A model has one row, that of its first official run: the first complete run by the"
            " pair's own protocol whose cohort was closed. Runs of one cohort are in the order in"
            " which they were queued. A run that no longer counts, because it was retracted or"
            " all its items were retired, gives its place to the next.",
            f"A run that is submitted less than {LATER_TRY_DAYS} days after the ranked one is a"
            " later try. It is decided and published, but it never ranks. The row is marked with"
            " the number of complete runs, retracted ones included, and the model's page states"
            " the range of the later tries' scores. So the best of several tries cannot rank. A"
            f" run that is submitted {LATER_TRY_DAYS} days after the ranked one or later takes the"
            " row once it is decided, whether it is better or worse; the page then names the run"
            " that it replaced. The evidence level stays with the first run that was tested.",
            "Equal weights have one run, under whatever name. Other weights under the same name"
            " are a later try, so a new version needs a name of its own. Then it has a row of its"
            " own, and the page states how many runs of other models of the same lineage the"
            f" organisation had within {LATER_TRY_DAYS} days.",
            "The prior exposure of an endpoint, and the test over all its runs, are those of its"
            " newest decided run: they only grow.",
        ),
    ),
    Section(
        "ranks",
        "Ranks",
        (
            "Models are ranked by private score. A range such as 2–3 means that the scores are"
            " too close, on so many items, to decide between these places, judged on the private"
            " items that both models were asked. It goes from 1 + the number of models that are"
            " better beyond chance, to the number of models minus those that are worse. Up to"
            f" {ranksets.EXACT_UP_TO} models all ranges hold at once with {_pp(intervals.LEVEL)}%"
            " confidence (largest studentised difference, stepped down, multiplier bootstrap:"
            " Mogstad, Romano, Shaikh and Wilhelm, 2024); beyond, each holds by itself (method"
            f" `{METHOD}`).",
        ),
    ),
    Section(
        "families",
        "Families",
        (
            "A family's mean gap is estimated with random effects, with the errors that its"
            " members share because they answered the same items, and with Hartung and Knapp's"
            f" interval. A family with fewer than {meta.FEWEST_MEMBERS} members has no interval"
            " and no test.",
            "Where models are compared with references, the mean is over the adjusted gaps of the"
            " members that were compared; the others are left out. The standard error of an"
            " adjusted gap is read from its interval, and the errors of two members are taken to"
            f" correlate by {of_counts.SHARED_ERRORS:g}, as measured between models on"
            " random halves of one set (.335) and rounded up. Adjusted gaps correlate less (.08"
            " there), so the interval is rather too wide than too narrow. Elsewhere the mean is"
            " over raw gaps, and the correlation is computed from the items that all members were"
            " asked; where these are not known it is taken to be the same. A family is red if its"
            " mean is above"
            f" zero by an interval that is corrected for all families with"
            f" {meta.FEWEST_MEMBERS} members or more (Bonferroni).",
        ),
    ),
)


def sections() -> tuple[Section, ...]:
    """Return all sections, in the order in which a run meets them."""
    asking = []
    for name in protocols.ids():
        protocol = protocols.get(name)
        systems = [word for asked, word in ASKED.items() if protocol.fits(asked)]
        asked = f"Can be asked of: {', '.join(systems) or 'nothing yet'}."
        text = (protocols.in_words(protocol), asked, f"Digest `{protocol.digest}`.")
        asking.append(Section(name, f"Protocol {name}", text, code=protocol.question))
    floor = noise_floor()
    differed = "no verdict differed"
    if floor.verdicts_differ:
        differed = f"in the worst case {floor.verdicts_differ} verdicts differed"
    noise = Section(
        "noise",
        "Noise floor",
        (
            f"The same weights ({floor.model}) were asked the same {floor.n} items at temperature"
            f" 0 by {' and '.join(floor.engines)}, with {', '.join(map(str, floor.at_once))}"
            f" requests at once, and repeated: {differed}."
            f" A difference of less than {floor.floor_pp} pp (95% bound) may be noise. Measured on"
            f" {floor.moment[:10]} on {floor.hardware}.",
        ),
    )
    return (
        ASKING,
        *asking,
        *GRADING,
        *SCORES,
        noise,
        _evidence(),
        ADJUSTED,
        LIKELIHOOD,
        *LEAKS,
        *ORDER,
        *COMPARISONS,
    )


def markdown() -> str:
    """Return the sections as one document."""
    parts = [
        "# Methodology",
        "How submissions are asked, graded and judged. `manage.py methodology` writes this"
        " document from the configuration in force. The reasons are in [decisions](adr/), the"
        " forms of answers in [grading](grading.md).",
    ]
    for section in sections():
        parts += [f'<a id="{section.anchor}"></a>\n\n## {section.title}', *section.text]
        if section.terms:
            parts.append("\n".join(f"- **{name}**: {meaning}." for name, meaning in section.terms))
        if section.code:
            parts.append(f"```text\n{section.code}\n```")
    return "\n\n".join(parts) + "\n"


def _evidence() -> Section:
    terms = []
    for level, meaning in explain.definitions(LEVELS):
        # The document ends each meaning with a full stop.
        terms.append((level.label, meaning[0].lower() + meaning[1:].removesuffix(".")))
    return Section(
        "evidence",
        "Evidence",
        (
            "When the board is closed, the scores on the sealed set are published and the"
            " evidence levels are decided, for all runs since the last close (method"
            f" `{cohorts.METHOD}`). Later results change no earlier level; another method decides"
            " separately. A gap too large for chance is evidence that a model is overfitted to"
            " the public set, whatever the cause.",
            "The pair determines the test. For sets that are exchangeable by construction (one"
            " generator, or one set split at random; sealed with the set) it is the test of the"
            " raw gap, for any other pair that of the adjusted gap. The p-value is the chance"
            " that a model which is not overfitted shows a gap at least as large. It is one-sided:"
            " public higher.",
            "The levels have fixed thresholds for the p-value of one model. So no other submission"
            " changes a level, and a close of 1 model and of 10,000 decide alike. On a board of N"
            f" tested models chance gives on average at most N × {LEVELS.overfit:g} of them"
            f" “overfit”, and N × {LEVELS.watch:g} “watch” or “overfit”; the board states these"
            " numbers. That holds as far as the references stand for the model. In simulations of"
            " models that are not overfitted, most worlds gave fewer levels than that; where each"
            " model has a bent of its own to one of the sets (0.2 logits, some 4 pp), 5.5% got"
            " “watch” or “overfit” and 1.3% “overfit” (decision 47). The board's CSV and JSON"
            " files also have p-values that are corrected over the board (Holm; Benjamini"
            " and Hochberg).",
            "One run decides a model's level: the first that was tested. Runs are of one model if"
            " they share its name, its weights (by digest, under any name), or its endpoint (by"
            " host and served name). A later try keeps its own p-value and gap. If the first run"
            " got “watch” or “overfit”, the later try keeps that level; otherwise it cannot get"
            " either. A run that maintainers retract for a fault of the setup or the evaluator does"
            " not count as a test. One that is retracted at its author's request does.",
            f"“At most” is the upper end of the gap's {_pp(intervals.LEVEL)}% interval. “Visible"
            f" from” is the true gap that gets “watch” or “overfit” in {_pp(LEVELS.power)}% of"
            " cases.",
        ),
        tuple(terms),
    )
