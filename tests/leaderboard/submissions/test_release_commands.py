"""The maintainers' commands of a release: what they print, and that a refusal is one sentence and writes nothing."""

import json
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from evaluator.contract import canonical_json
from evaluator.ledger.rules import Date, Lineages, Rule, evidence_digest, read_evidence
from leaderboard.benchmarks.models import ItemSet, Release, SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import REFUSALS, Refusal
from leaderboard.submissions.models import Commitment, Lineage, Model
from tests.leaderboard import ruled
from tests.leaderboard.bundles import Offline
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import (
    BY_DATE,
    FUTURE,
    grade,
    make_maintainer,
    make_model,
    make_pair,
    retract,
    state_of,
)

pytestmark = pytest.mark.django_db
DIGEST = "a7" * 32


def told(*arguments: object) -> str:
    """What a command prints that works."""
    out, err = StringIO(), StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=err)
    assert err.getvalue() == ""
    return out.getvalue().strip()


def refusal(*arguments: object) -> str:
    """What a command says that refuses; nothing of it is printed as a result."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*map(str, arguments), stdout=out)
    assert out.getvalue() == ""
    return str(caught.value)


def sentence(code: Refusal) -> str:
    return REFUSALS[code].sentence.rstrip(".")


# --- from the rule to the release


def test_the_whole_way(
    releasable: SetPair, offline: Offline, tmp_path: Path, releases: Path
) -> None:
    for name in ("ada", "grace"):
        make_maintainer(name)
    evidence = tmp_path / "evidence.json"
    assert "nothing is frozen" in refusal("release_progress", "pair", "--evidence", evidence)
    assert not evidence.exists()
    assert told("propose_release", "pair", "--by", "Ada") == "pair: proposed"
    assert told("propose_release", "pair", "--by", "grace", "--withdraw") == "pair: releasable"
    assert told("propose_release", "pair", "--by", "ada") == "pair: proposed"
    facts = json.loads(told("release_progress", "pair", "--evidence", evidence))
    assert (facts["state"], facts["met"]) == ("proposed", True)
    frozen = SetPair.objects.get(slug="pair").evidence
    assert evidence.read_bytes() == canonical_json(frozen) + b"\n"
    bundle = offline.bundle(json.loads(evidence.read_bytes()), tmp_path / "bundle")
    statement = json.loads((bundle / "statement.json").read_bytes())["statement"]
    assert statement["evidence"] == evidence_digest(read_evidence(frozen))
    assert told("publish_release", "pair", bundle, "--by", "grace") == "pair: private is released"
    assert state_of(releasable) is SetState.RELEASED and len(list(releases.iterdir())) == 1
    assert json.loads(told("release_progress", "pair"))["state"] == "released"


def test_proposing_is_refused_in_a_sentence(releasable: SetPair, user: Any) -> None:
    steps = SetStep.objects.count()
    make_maintainer("grace")
    assert sentence(Refusal.FORBIDDEN) in refusal("propose_release", "pair", "--by", "ada")
    assert sentence(Refusal.UNKNOWN_USER) in refusal("propose_release", "pair", "--by", "nobody")
    assert sentence(Refusal.UNKNOWN_PAIR) in refusal("propose_release", "nowhere", "--by", "grace")
    assert sentence(Refusal.BAD_STEP) in refusal(
        "propose_release", "pair", "--by", "grace", "--withdraw"
    )
    ItemSet.objects.update(successor=None)
    assert sentence(Refusal.NO_SUCCESSOR) in refusal("propose_release", "pair", "--by", "grace")
    assert refusal("propose_release", "pair")
    assert (SetStep.objects.count(), state_of(releasable)) == (steps, SetState.RELEASABLE)


def test_publishing_is_refused_in_a_sentence(
    proposed: SetPair, bundle: Path, releases: Path, tmp_path: Path
) -> None:
    make_maintainer("grace")
    assert sentence(Refusal.SECOND_PERSON) in refusal(
        "publish_release", "pair", bundle, "--by", "ada"
    )
    assert sentence(Refusal.UNKNOWN_USER) in refusal(
        "publish_release", "pair", bundle, "--by", "nobody"
    )
    assert sentence(Refusal.UNKNOWN_PAIR) in refusal(
        "publish_release", "nowhere", bundle, "--by", "grace"
    )
    for bad in (tmp_path / "none", tmp_path / "offline", bundle / "items.jsonl"):
        assert sentence(Refusal.BAD_BUNDLE) in refusal(
            "publish_release", "pair", bad, "--by", "grace"
        )
    (bundle / "seed.json").write_text("{}\n")
    assert "a file is not the one that contents.json lists" in refusal(
        "publish_release", "pair", bundle, "--by", "grace"
    )
    assert list(releases.iterdir()) == [] and not Release.objects.exists()
    assert state_of(proposed) is SetState.PROPOSED


def test_progress_says_who_is_how_short(evaluator: FakeEvaluator) -> None:
    evaluator.register()
    pair = make_pair()
    grade(pair, make_model("Alpha", "alpha"), 8, by=evaluator)
    grade(pair, make_model("Beta", "beta"), 5, by=evaluator)
    assert json.loads(told("release_progress", "pair")) == {
        "pair": "pair",
        "state": "sealed",
        "rule": pair.private.rule_words(),
        "met": False,
        "clauses": [
            {
                "met": False,
                "models": [{"model": "Alpha", "right": 8, "n": 9, "spare": 0, "bound": None}],
                "wanted": 3,
                "short": [{"model": "Beta", "items": 3, "n": 9}],
            },
            {"met": False, "date": FUTURE},
        ],
    }
    make_pair(None, slug="never")
    assert json.loads(told("release_progress", "never")) == {
        "pair": "never",
        "state": "sealed",
        "rule": "",
    }


def test_progress_is_refused_in_a_sentence(proposed: SetPair, tmp_path: Path) -> None:
    assert "no pair" in refusal("release_progress", "nowhere")
    assert "cannot be written" in refusal(
        "release_progress", "pair", "--evidence", tmp_path / "none" / "e.json"
    )


# --- registering a pair


def registering(slug: str = "pair") -> list[str]:
    old = SetPair.objects.get(slug="pair")
    sets = ["--public", old.public.name, "--private", old.private.name]
    return ["register_pair", slug, "--title", "A pair", *sets, "--protocol", "demo-0shot"]


def warned(*arguments: str) -> str:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    assert out.getvalue() == f"{arguments[1]}: public and private, demo-0shot\n"
    return err.getvalue().strip()


def test_registering_warns_where_known_models_would_meet_the_rule_at_once(
    evaluator: FakeEvaluator,
) -> None:
    evaluator.register()
    make_pair()
    elsewhere = make_pair(slug="elsewhere")
    runs = ruled.meet(elsewhere, evaluator)
    warning = "warning: the release rule of private would be met at once, as Alpha, Beta, Gamma last did elsewhere"
    assert warned(*registering()) == warning
    assert warned(*registering("new")) == warning
    assert SetPair.objects.get(slug="new").state == SetState.SEALED, "a warning refuses nothing"
    retract(runs[0].pk)
    assert warned(*registering("newer")) == ""


def test_registering_warns_of_a_day_that_has_come() -> None:
    make_pair(BY_DATE)
    assert (
        warned(*registering())
        == "warning: the release rule of private would be met at once, by its date"
    )


@pytest.mark.parametrize(
    "rule", [None, Rule(any_of=(Date(moment=FUTURE),)), ruled.THREE], ids=["none", "date", "runs"]
)
def test_registering_does_not_warn_for_nothing(rule: Rule | None) -> None:
    make_pair(rule)
    assert warned(*registering()) == ""


def test_the_pairs_own_runs_are_no_ground_for_a_warning(evaluator: FakeEvaluator) -> None:
    evaluator.register()
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=8, denominator=9),)))
    grade(pair, make_model("Alpha", "alpha"), 9, by=evaluator)
    assert warned(*registering()) == ""


# --- lineages, retractions, commitments


def test_registering_a_lineage() -> None:
    make_model("Alpha"), make_model("Beta")
    assert told("register_lineage", "llama") == "llama: no model named"
    out, err = StringIO(), StringIO()
    both = ["child", "--parent", "llama", "--model", "Alpha", "--model", "Beta"]
    call_command("register_lineage", *both, stdout=out, stderr=err)
    assert out.getvalue() == "child: Alpha, Beta\n"
    assert "no run of Alpha is over; repeat this then, or name its --weights" in err.getvalue()
    assert told(
        "register_lineage", "child", "--model", "Alpha", "--weights", DIGEST, "--base", "Llama-3"
    ) == (f"child: Alpha\nAlpha: weights {DIGEST}")
    with pytest.raises(CommandError, match="one --model"):
        call_command("register_lineage", *both, "--weights", DIGEST)
    assert set(Model.objects.values_list("lineage__name", flat=True)) == {"child"}
    assert list(Lineage.objects.get(name="child").parents.values_list("name", flat=True)) == [
        "llama"
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["Bad Name"], Refusal.BAD_REGISTRATION),
        (["new", "--parent", "new"], Refusal.BAD_REGISTRATION),
        (["new", "--parent", "nowhere"], Refusal.UNKNOWN_LINEAGE),
        (["new", "--model", "Alpha", "--model", "Nobody"], Refusal.NOT_FOUND),
    ],
)
def test_a_lineage_that_is_refused_is_not_half_written(arguments: list[str], code: Refusal) -> None:
    make_model("Alpha")
    assert sentence(code) in refusal("register_lineage", *arguments)
    assert not Lineage.objects.exists()
    assert Model.objects.get().lineage is None


def test_committing_to_weights(user: Any) -> None:
    first = told("commit_weights", DIGEST, "--by", "ada")
    made = Commitment.objects.get()
    assert first == f"{DIGEST} at {made.committed_at:%Y-%m-%dT%H:%M:%SZ}"
    assert told("commit_weights", DIGEST, "--by", "ADA") == first
    assert sentence(Refusal.INVALID_FIELD) in refusal("commit_weights", "a7", "--by", "ada")
    assert sentence(Refusal.UNKNOWN_USER) in refusal("commit_weights", "b7" * 32, "--by", "nobody")
    assert Commitment.objects.get() == made


@pytest.mark.parametrize(
    "arguments",
    [
        ("register_pair", "pair"), ("register_lineage",), ("retract_run", uuid.uuid4()), ("release_progress",),
        ("propose_release", "pair"), ("publish_release", "pair", "--by", "ada"), ("commit_weights", DIGEST),
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_command_without_what_it_needs_is_refused(arguments: tuple[str, ...]) -> None:
    assert "the following arguments are required" in refusal(*arguments)
