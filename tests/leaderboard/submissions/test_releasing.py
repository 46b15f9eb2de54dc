"""A release: two people, a bundle that a stranger's verifier accepts, and all of it or nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Opening
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS, sign_entry
from evaluator.ledger.releases import SignedStatement, statement_digest
from evaluator.ledger.rules import Date, Lineages, Rule
from leaderboard.benchmarks.models import ItemSet, Release, SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import Entry, Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.actions import release
from tests.leaderboard.bundles import (
    N,
    Offline,
    assert_nothing_came_of_it,
    change,
    files_of,
    over_runs,
    publish,
    refused,
)
from tests.leaderboard.ruled import (
    BY_DATE,
    FUTURE,
    grade,
    make_heir,
    make_maintainer,
    make_model,
    make_pair,
    retract,
    state_of,
)

Alteration = Callable[[Path, Offline], None]


# --- proposing


def test_a_proposal_freezes_the_evidence_of_its_moment(releasable: SetPair) -> None:
    ada = make_maintainer("ada")
    made = actions.propose(slug="pair", by=ada)
    assert state_of(made) is SetState.PROPOSED and made.proposed_by == ada
    assert made.evidence is not None and made.evidence["root"] == releasable.private.digest
    actions.register_lineage(name="later", parents=[])
    assert actions.follow_rule(slug="pair") is SetState.PROPOSED
    assert SetPair.objects.get().evidence == made.evidence
    steps = list(SetStep.objects.order_by("pk").values_list("old", "new", "by__username"))
    assert steps == [("sealed", "releasable", None), ("releasable", "proposed", "ada")]


def test_only_maintainers_propose_withdraw_and_publish(
    releasable: SetPair, user: Any, tmp_path: Path
) -> None:
    assert refused(lambda: actions.propose(slug="pair", by=user)).code is Refusal.FORBIDDEN
    actions.propose(slug="pair", by=make_maintainer("grace"))
    assert refused(lambda: actions.withdraw(slug="pair", by=user)).code is Refusal.FORBIDDEN
    assert (
        refused(lambda: actions.publish(slug="pair", bundle=tmp_path, by=user)).code
        is Refusal.FORBIDDEN
    )
    assert state_of(releasable) is SetState.PROPOSED


def test_a_pair_that_is_not_releasable_is_not_proposed(db: None) -> None:
    pair = make_pair(Rule(any_of=(Date(moment=FUTURE),)))
    make_heir(pair)
    ada = make_maintainer("ada")
    failure = refused(lambda: actions.propose(slug="pair", by=ada))
    assert (failure.code, failure.detail) == (Refusal.BAD_STEP, "sealed")
    assert refused(lambda: actions.withdraw(slug="pair", by=ada)).code is Refusal.BAD_STEP
    assert refused(lambda: actions.propose(slug="nowhere", by=ada)).code is Refusal.UNKNOWN_PAIR
    assert state_of(pair) is SetState.SEALED


def test_it_is_not_proposed_twice(proposed: SetPair) -> None:
    assert (
        refused(lambda: actions.propose(slug="pair", by=make_maintainer("grace"))).code
        is Refusal.BAD_STEP
    )
    assert SetPair.objects.get().proposed_by == proposed.proposed_by


def test_a_proposal_needs_a_sealed_successor(releasable: SetPair) -> None:
    ada, heir = make_maintainer("ada"), releasable.successor
    ItemSet.objects.update(successor=None)
    assert refused(lambda: actions.propose(slug="pair", by=ada)).code is Refusal.NO_SUCCESSOR
    # One that is on its way to release itself is none any more.
    next_pair = SetPair.objects.create(
        slug="next",
        title="Next",
        public=releasable.public,
        private=heir,
        protocol="demo-0shot",
        grader="numeric-1",
    )
    ItemSet.objects.filter(as_private__slug="pair").update(successor=heir)
    ItemSet.objects.filter(pk=next_pair.private_id).update(state=SetState.RELEASABLE)
    assert refused(lambda: actions.propose(slug="pair", by=ada)).code is Refusal.NO_SUCCESSOR
    ItemSet.objects.filter(pk=next_pair.private_id).update(state=SetState.SEALED)
    assert actions.propose(slug="pair", by=ada).state == SetState.PROPOSED


def test_the_rule_has_to_hold_at_the_very_moment(db: None, evaluator: Any) -> None:
    evaluator.register()
    pair = make_pair(Rule(any_of=(Lineages(models=1, numerator=8, denominator=9),)))
    make_heir(pair)
    run = grade(pair, make_model("Alpha", "alpha"), 8, by=evaluator)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
    retract(run.pk)
    failure = refused(lambda: actions.propose(slug="pair", by=make_maintainer("ada")))
    assert (failure.code, state_of(pair)) == (Refusal.BAD_STEP, SetState.RELEASABLE)


def test_a_proposal_can_be_taken_back_by_any_maintainer(proposed: SetPair) -> None:
    made = actions.withdraw(slug="pair", by=make_maintainer("grace"))
    assert state_of(made) is SetState.RELEASABLE
    assert list(SetStep.objects.order_by("-pk").values_list("new", "by__username")[:1]) == [
        ("releasable", "grace")
    ]
    assert actions.propose(slug="pair", by=make_maintainer("grace")).state == SetState.PROPOSED


# --- publishing


def test_a_bundle_that_verifies_is_published_by_another_maintainer(
    proposed: SetPair, bundle: Path, releases: Path
) -> None:
    release = publish(bundle)
    assert state_of(proposed) is SetState.RELEASED
    folder = releases / release.folder
    assert list(releases.iterdir()) == [folder] and files_of(folder) == files_of(bundle)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert set(release.contents) == set(files_of(bundle)) - {"contents.json", "contents.sig"}
    assert [vote["maintainer"] for vote in release.statement["votes"]] == ["ada", "grace"]
    assert (release.published_by.username, SetPair.objects.get().stale) == ("grace", True)
    assert list(SetStep.objects.order_by("-pk").values_list("new", "by__username")[:1]) == [
        ("released", "grace")
    ]


def test_released_is_never_left(proposed: SetPair, bundle: Path, releases: Path) -> None:
    publish(bundle)
    ada = make_maintainer("ada")
    for work in (
        lambda: actions.propose(slug="pair", by=ada),
        lambda: actions.withdraw(slug="pair", by=ada),
        lambda: publish(bundle, "mary"),
    ):
        assert refused(work).code is Refusal.BAD_STEP
    assert actions.follow_rule(slug="pair") is SetState.RELEASED
    assert actions.follow_rules() == 0
    assert (Release.objects.count(), len(list(releases.iterdir()))) == (1, 1)
    assert state_of(proposed) is SetState.RELEASED


def test_a_release_over_runs_holds_what_was_answered(
    db: None, tmp_path: Path, releases: Path
) -> None:
    offline, _, run = over_runs(tmp_path / "over-runs")
    evidence = actions.propose(slug="pair", by=make_maintainer("ada")).evidence
    assert evidence is not None and [one["run"] for one in evidence["runs"]] == [str(run.pk)]
    release = publish(offline.bundle(evidence, tmp_path / "bundle"))
    assert f"completions/{run.pk}.jsonl" in release.contents
    assert (releases / release.folder / f"completions/{run.pk}.jsonl").read_bytes().count(
        b"\n"
    ) == N - 1


def test_whoever_proposed_it_does_not_publish_it(
    proposed: SetPair, bundle: Path, releases: Path
) -> None:
    assert refused(lambda: publish(bundle, "ada")).code is Refusal.SECOND_PERSON
    assert_nothing_came_of_it(proposed, releases)
    assert refused(
        lambda: actions.publish(slug="nowhere", bundle=bundle, by=make_maintainer("grace"))
    ).code is (Refusal.UNKNOWN_PAIR)


def test_without_a_proposal_there_is_nothing_to_publish(
    proposed: SetPair, bundle: Path, releases: Path
) -> None:
    actions.withdraw(slug="pair", by=make_maintainer("ada"))
    assert refused(lambda: publish(bundle)).code is Refusal.BAD_STEP
    assert_nothing_came_of_it(proposed, releases, SetState.RELEASABLE)


# --- bundles that are not the one


def flipped(bundle: Path, offline: Offline) -> None:
    content = bytearray((bundle / "items.jsonl").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "items.jsonl").write_bytes(content)


def flipped_and_listed_anew(bundle: Path, offline: Offline) -> None:
    flipped(bundle, offline)
    offline.resign(bundle)


def with_a_verifier_that_likes_it(bundle: Path, offline: Offline) -> None:
    (bundle / "verify_release.py").write_text("raise SystemExit(0)\n")
    flipped_and_listed_anew(bundle, offline)


def one_file_more(bundle: Path, offline: Offline) -> None:
    (bundle / "notes.txt").write_text("one more")
    offline.resign(bundle)


def one_file_less(bundle: Path, offline: Offline) -> None:
    (bundle / "LICENSE.txt").unlink()


def a_link(bundle: Path, offline: Offline) -> None:
    (bundle / "LICENSE.txt").unlink()
    (bundle / "LICENSE.txt").symlink_to("/etc/hostname")


def one_vote(bundle: Path, offline: Offline) -> None:
    change(
        bundle / "statement.json",
        votes=json.loads((bundle / "statement.json").read_bytes())["votes"][:1],
    )
    offline.resign(bundle)


def evidence_written_anew(bundle: Path, offline: Offline) -> None:
    change(bundle / "evidence.json", moment="2026-03-01T00:00:00Z")
    offline.resign(bundle)


def a_manifest_with_a_quorum_of_one(bundle: Path, offline: Offline) -> None:
    change(bundle / "manifest.json", quorum=1)
    offline.resign(bundle)


def nothing_at_all(bundle: Path, offline: Offline) -> None:
    shutil.rmtree(bundle)


def a_file(bundle: Path, offline: Offline) -> None:
    shutil.rmtree(bundle)
    bundle.write_text("no folder")


ALTERATIONS: list[Alteration] = [
    flipped, flipped_and_listed_anew, with_a_verifier_that_likes_it, one_file_more, one_file_less, a_link, one_vote,
    evidence_written_anew, a_manifest_with_a_quorum_of_one, nothing_at_all, a_file,
]  # fmt: skip


def test_an_altered_bundle_is_refused_and_leaves_nothing(
    proposed: SetPair, bundle: Path, offline: Offline, releases: Path, tmp_path: Path
) -> None:
    for alter in ALTERATIONS:
        copy = shutil.copytree(bundle, tmp_path / "copies" / alter.__name__)
        alter(copy, offline)
        assert refused(lambda copy=copy: publish(copy)).code is Refusal.BAD_BUNDLE, alter.__name__
        assert_nothing_came_of_it(proposed, releases)
    copy = shutil.copytree(bundle, tmp_path / "copies" / "whole")
    offline.resign(copy)
    assert publish(copy).folder, "and it was none of the copying"


def test_a_sound_bundle_over_other_evidence_is_refused(
    proposed: SetPair, offline: Offline, releases: Path, tmp_path: Path
) -> None:
    assert proposed.evidence is not None
    other = offline.bundle(
        proposed.evidence | {"moment": "2026-03-01T00:00:00Z"}, tmp_path / "other"
    )
    failure = refused(lambda: publish(other))
    assert (failure.code, failure.detail) == (
        Refusal.BAD_BUNDLE,
        "its evidence is not what was proposed",
    )
    assert_nothing_came_of_it(proposed, releases)


def test_a_sound_bundle_by_others_over_the_same_root_is_refused(
    proposed: SetPair, releases: Path, tmp_path: Path
) -> None:
    """Whoever has the items and the seed can seal them again, with maintainers of his own, under the same root."""
    intruders = {name: signatures.generate() for name in ("mallory", "trudy")}
    other = Offline.make(tmp_path / "intruders", BY_DATE, intruders)
    assert other.manifest.root == proposed.private.digest
    failure = refused(lambda: publish(other.bundle(proposed.evidence, tmp_path / "other")))
    assert (failure.code, failure.detail) == (
        Refusal.BAD_BUNDLE,
        "its manifest is not the registered one",
    )
    assert_nothing_came_of_it(proposed, releases)


def test_a_verifier_that_does_not_come_back_verifies_nothing(
    proposed: SetPair, bundle: Path, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "VERIFY_SECONDS", 0.001)
    assert refused(lambda: publish(bundle)).code is Refusal.BAD_BUNDLE
    assert_nothing_came_of_it(proposed, releases)


def test_the_ledger_has_the_opening_as_soon_as_the_pair_is_released(
    proposed: SetPair, bundle: Path, offline: Offline
) -> None:
    assert not Entry.objects.exists()
    statement = publish(bundle).statement
    opening = Entry.objects.published().get(kind="opening")
    signed = SignedStatement.from_dict(statement)
    assert opening.line["statement"] == statement_digest(signed.statement)
    assert opening.evaluator.heads.get().agrees


def test_who_opened_it_has_to_be_registered(
    proposed: SetPair, bundle: Path, offline: Offline, releases: Path
) -> None:
    Evaluator.objects.filter(name=offline.keys.name).update(public_key="ab" * 32)
    failure = refused(lambda: publish(bundle))
    assert (failure.code, failure.detail[:16]) == (Refusal.BAD_BUNDLE, "it was opened by")
    assert_nothing_came_of_it(proposed, releases)


def test_a_log_that_contradicts_the_copy_is_kept_and_refused(
    proposed: SetPair, bundle: Path, offline: Offline, releases: Path
) -> None:
    """The evaluator has told the site of another first line than its bundle does."""
    other = {"set": "private", "root": offline.manifest.root, "statement": "0b" * 32}
    line = sign_entry(
        offline.keys.report,
        Opening,
        evaluator="host-a",
        index=0,
        previous=GENESIS,
        moment="2026-02-02T00:00:00Z",
        **other,
    )
    evaluator = Evaluator.objects.get(name="host-a")
    store_log(evaluator=evaluator, lines=[line])
    assert refused(lambda: publish(bundle)).detail == "its log is not the one that the site knows"
    assert_nothing_came_of_it(proposed, releases)
    evaluator.refresh_from_db()
    assert evaluator.flagged and evaluator.entries.count() == 2
