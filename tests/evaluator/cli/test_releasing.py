"""sign, countersign and release: exactly a quorum opens a set, and any mismatch leaves it closed and nothing written."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluator.cli import main, releasing
from evaluator.contract import Outcome
from evaluator.errors import EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.releases import SignedStatement, Vote, signed_bytes, vote
from evaluator.ledger.rules import Date, Evidence, Rule, read_evidence
from evaluator.sealing import bundle, formats
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.keys import generate_keys
from tests.verify.releases import (
    PEOPLE,
    World,
    artefact,
    command,
    done,
    items_of,
    make_world,
    refused,
    weights,
)

QUESTIONS = [json.loads(line)["question"].encode() for line in items_of()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """A copy, so that each test may open it."""
    return World(shutil.copytree(made.folder, tmp_path / "world"))


def statement_of(path: Path) -> SignedStatement:
    return SignedStatement.from_dict(json.loads(path.read_bytes()))


def write(path: Path, signed: SignedStatement) -> Path:
    path.write_bytes(formats.to_line(signed))
    return path


def closed(world: World, *arguments: object) -> str:
    """The code that a release is refused with, once nothing of it is left and the journal says nothing of it."""
    before = sorted(world.folder.rglob("*"))
    journal = (world.home / "journal.jsonl").read_bytes()
    code = refused(*arguments)
    assert sorted(world.folder.rglob("*")) == before
    assert (world.home / "journal.jsonl").read_bytes() == journal and world.openings() == 0
    return code


def changed_evidence(world: World, edit: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(world.evidence.read_bytes())
    edit(data)
    world.evidence.write_bytes(formats.to_line(Evidence.from_dict(data)))


def test_a_release_by_three_of_five(world: World) -> None:
    about = ("--set", world.set, "--evidence", world.evidence)
    out, first = world.folder / "statement.json", world.keys("ada")
    shown = done("sign", *about, "--evaluator", world.identity, "--keys", first, "--out", out)
    assert (shown["set"], shown["n"], shown["opened_by"], shown["quorum"]) == (
        "twin",
        20,
        "host-a",
        3,
    )
    assert (shown["met_by"], shown["votes"]) == (["ant", "bee", "cat"], ["ada"])
    # a maintainer needs the public manifest only, and may sign again
    manifest = ("--set", world.set / "manifest.json", "--evidence", world.evidence)
    for name in ("eve", "cleo", "eve"):
        shown = done("countersign", out, *manifest, "--keys", world.keys(name))
    assert shown["votes"] == ["ada", "cleo", "eve"] and len(statement_of(out).votes) == 3
    released = done(*world.release(out, world.folder / "bundle"), "--licence-file", world.identity)
    assert (released["signed_by"], released["runs"], released["n"]) == (
        ["ada", "cleo", "eve"],
        4,
        20,
    )
    assert world.openings() == 1
    files = {path.name for path in (world.folder / "bundle").iterdir()}
    assert {"notices.jsonl", "head.txt", "verify_release.py", "completions"} <= files
    assert (world.folder / "bundle" / "LICENSE.txt").read_bytes() == world.identity.read_bytes()
    items = (world.folder / "bundle" / "items.jsonl").read_bytes()
    assert all(question in items for question in QUESTIONS)


# --- the runs that a maintainer signs for


def first_of(world: World, *options: object) -> tuple[object, ...]:
    about = ("--set", world.set, "--evidence", world.evidence, "--evaluator", world.identity)
    return (
        "sign",
        *about,
        "--keys",
        world.keys("ada"),
        "--out",
        world.folder / "statement.json",
        *options,
    )


def test_signers_are_shown_each_run_with_its_lineage_base_model_and_digests(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = done(*first_of(world))
    rows = {row["model"]: row for row in shown["runs"]}
    assert sorted(rows) == ["ant", "bee", "cat"] and shown["warnings"] == []
    assert (rows["bee"]["lineage"], rows["bee"]["base_model"], rows["bee"]["right"]) == (
        "bee",
        "bee-base",
        "17/17",
    )
    assert (rows["bee"]["artefact"], rows["bee"]["weights"]) == (
        artefact("bee"),
        weights("bee").digest(),
    )
    (world.folder / "statement.json").unlink()
    assert main([str(one) for one in first_of(world)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == [
        "run",
        "model",
        "lineage",
        "base",
        "model",
        "right",
        "artefact",
        "weights",
    ]
    assert len(table[1:4]) == 3 and artefact("ant")[:12] in table[1] and "bee-base" in table[2]


@pytest.mark.parametrize(
    ("same", "why"),
    [
        (
            {"artefact": artefact("ant"), "weights": weights("ant").to_dict()},
            "their files are identical",
        ),
        ({"weights": weights("ant").to_dict()}, "their tensors overlap"),
        ({"weights": None}, "the tensors of one are unknown"),
    ],
)
def test_signers_are_warned_of_copies_and_the_rule_is_not_met(
    world: World, capsys: pytest.CaptureFixture[str], same: dict[str, Any], why: str
) -> None:
    changed_evidence(world, lambda data: [run.update(same) for run in data["runs"][1:3]])
    assert main([str(one) for one in first_of(world)]) == 2
    said = capsys.readouterr()
    assert f"warning: ant and bee count as one: {why}" in said.out and "rule" in said.err
    assert not (world.folder / "statement.json").exists()


def test_evidence_of_other_weights_than_the_log_commits_to_opens_nothing(world: World) -> None:
    """The site tells three copies apart that the evaluator's own log does not."""
    other = {"artefact": artefact("other"), "weights": weights("other").to_dict()}
    changed_evidence(world, lambda data: data["runs"][1].update(other))
    statement = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    assert closed(world, *world.release(statement, world.folder / "bundle")) == "evidence_differs"


def test_all_32_subsets_of_five_maintainers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly those of three and more open the set. The bundle's own check runs once elsewhere, not sixteen times."""
    monkeypatch.setattr(bundle, "check_bundle", lambda folder: None)
    base = statement_of(world.sign(world.folder / "statement.json", "ada")).statement
    subsets = [names for size in range(6) for names in combinations(PEOPLE, size)]
    opened = []
    for number, names in enumerate(sorted(subsets, key=len)):
        signed = SignedStatement(statement=base)
        for name in names:
            signed = vote(signed, maintainer=name, private_key=world.signer(name))
        path, out = (
            write(world.folder / f"{number}.json", signed),
            world.folder / f"bundle-{number}",
        )
        if len(names) < 3:
            assert closed(world, *world.release(path, out)) == "quorum_missing"
        else:
            done(*world.release(path, out))
            opened.append(names)
    assert len(subsets) == 32 and len(opened) == 16 == world.openings()


# --- T008 at the command line: votes that do not count


def _twice(world: World, signed: SignedStatement) -> SignedStatement:
    return msgspec.structs.replace(signed, votes=(*signed.votes[:2], signed.votes[0]))


def _foreign(world: World, signed: SignedStatement) -> SignedStatement:
    made = signatures.sign(world.signer("mallory"), signed_bytes(signed.statement))
    return msgspec.structs.replace(
        signed, votes=(*signed.votes, Vote(maintainer="mallory", signature=made))
    )


def _forged(world: World, signed: SignedStatement) -> SignedStatement:
    made = signatures.sign(world.signer("mallory"), signed_bytes(signed.statement))
    return msgspec.structs.replace(
        signed, votes=(*signed.votes[:2], Vote(maintainer="cleo", signature=made))
    )


def _moved(**changes: object) -> Callable[[World, SignedStatement], SignedStatement]:
    """The votes of one statement under another."""

    def move(world: World, signed: SignedStatement) -> SignedStatement:
        return msgspec.structs.replace(
            signed, statement=msgspec.structs.replace(signed.statement, **changes)
        )

    return move


VOTES = {
    "the same twice": (_twice, "signature_invalid"),
    "a foreign signer": (_foreign, "not_a_maintainer"),
    "forged": (_forged, "signature_invalid"),
    "of another root": (_moved(root="00" * 32), "evidence_differs"),
    "of another set": (_moved(set="another"), "evidence_differs"),
    "of other evidence": (_moved(evidence="00" * 32), "evidence_differs"),
    "of another rule": (_moved(rule="00" * 32), "evidence_differs"),
    "of another manifest": (_moved(manifest="00" * 32), "evidence_differs"),
    "of another moment": (_moved(moment="2026-02-02T00:00:00Z"), "signature_invalid"),
}


@pytest.mark.parametrize("name", VOTES)
def test_fault_t008_votes_that_open_nothing(world: World, name: str) -> None:
    change, code = VOTES[name]
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    write(path, change(world, statement_of(path)))
    assert closed(world, *world.release(path, world.folder / "bundle")) == code


def test_fault_t008_other_spacing(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    content = path.read_bytes()
    for other in (
        json.dumps(json.loads(content)).encode() + b"\n",
        content[:-1],
        content + b"\n",
        b"{}\n",
        b"[" * 9999,
    ):
        path.write_bytes(other)
        assert (
            closed(world, *world.release(path, world.folder / "bundle")) == "statement_unreadable"
        )
        about = ("--set", world.set, "--evidence", world.evidence, "--keys", world.keys("eve"))
        assert refused("countersign", path, *about) == "statement_unreadable"
        assert path.read_bytes() == other


def test_fault_t008_a_replay_over_later_evidence(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    changed_evidence(world, lambda data: data.update(moment="2026-02-03T00:00:00Z"))
    assert closed(world, *world.release(path, world.folder / "bundle")) == "evidence_differs"
    about = ("--set", world.set, "--evidence", world.evidence, "--keys", world.keys("eve"))
    assert refused("countersign", path, *about) == "evidence_differs"


# --- what is looked at before the set is opened


def voted(world: World, **changes: object) -> Path:
    """A statement over the evidence as it is now, signed by three who were deceived."""
    manifest, evidence = world.manifest, read_evidence(json.loads(world.evidence.read_bytes()))
    statement = releasing.make_statement(
        manifest, evidence, world.evaluator.identity(), moment="2026-02-02T00:00:00Z"
    )
    signed = SignedStatement(statement=msgspec.structs.replace(statement, **changes))
    for name in PEOPLE[:3]:
        signed = vote(signed, maintainer=name, private_key=world.signer(name))
    return write(world.folder / "voted.json", signed)


def test_the_forged_statement_is_a_good_one_otherwise(world: World) -> None:
    done(*world.release(voted(world), world.folder / "bundle"))


EVIDENCE = {
    "rule not met": (lambda data: data["runs"][0].update(flagged=True), "rule_not_met"),
    "lacks a closing": (lambda data: data["runs"][3].update(closings=[]), "evidence_differs"),
    "lacks one of two": (lambda data: data["runs"][0]["closings"].pop(), "evidence_differs"),
    "counts more right": (lambda data: data["runs"][3].update(right=13), "evidence_differs"),
    "counts fewer items": (
        lambda data: data["runs"][3].update(n=16, assigned=16),
        "evidence_differs",
    ),
    "lacks a retired item": (
        lambda data: data["runs"][0].update(n=16, assigned=16, right=16),
        "evidence_differs",
    ),
}


@pytest.mark.parametrize("name", EVIDENCE)
def test_evidence_that_does_not_fit(world: World, name: str) -> None:
    edit, code = EVIDENCE[name]
    changed_evidence(world, edit)
    assert closed(world, *world.release(voted(world), world.folder / "bundle")) == code


def test_evidence_before_an_erratum_that_this_copy_does_not_know(world: World) -> None:
    """The site's notices are one ahead of the set's folder: as many items as are here cannot be."""
    (world.set / "notices.jsonl").unlink()
    assert (
        closed(world, *world.release(voted(world), world.folder / "bundle")) == "evidence_differs"
    )


def test_answers_that_are_not_those_of_the_closing(world: World) -> None:
    run = read_evidence(json.loads(world.evidence.read_bytes())).runs[1].run
    store = CompletionStore(world.home / "completions", world.evaluator.completions)
    store.append(run, "twin", 0, Outcome.RIGHT, "a better answer")
    before = (world.home / "journal.jsonl").read_bytes()
    assert refused(*world.release(voted(world), world.folder / "bundle")) == "seal_broken"
    assert (world.home / "journal.jsonl").read_bytes() == before


def test_a_run_that_others_took_part_in(world: World) -> None:
    """More items than are here: the rest was asked elsewhere, and only what is here can be compared."""
    changed_evidence(world, lambda data: data["runs"][3].update(n=40, assigned=40, right=30))
    done(*world.release(voted(world), world.folder / "bundle"))


def test_a_statement_from_the_future(world: World) -> None:
    path = voted(
        world, moment=(datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    assert closed(world, *world.release(path, world.folder / "bundle")) == "statement_unreadable"
    about = ("--set", world.set, "--evidence", world.evidence, "--keys", world.keys("eve"))
    assert refused("countersign", path, *about) == "statement_unreadable"


def test_the_rule_is_held_to_the_statements_own_moment(world: World) -> None:
    """Signed in the last second before the date, it stays unmet: the stranger will decide so too."""
    rule = Rule(any_of=(Date(moment="2026-02-02T00:00:00.5Z"),))
    manifest = msgspec.structs.replace(world.manifest, rule=rule)
    evidence, now = (
        read_evidence(json.loads(world.evidence.read_bytes())),
        datetime(2026, 2, 2, tzinfo=UTC),
    )
    with pytest.raises(EvaluatorError, match="rule_not_met"):
        releasing._verdict(
            manifest,
            evidence,
            releasing._past("2026-02-02T00:00:00Z", now + timedelta(seconds=0.6)),
        )
    assert releasing._verdict(manifest, evidence, now + timedelta(seconds=0.5)).met


def test_another_evaluators_keys(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    generate_keys(world.keys("host-b"), name="host-b")
    about = ("--statement", path, "--evidence", world.evidence, "--home", world.home)
    other = (
        "release",
        world.set,
        *about,
        "--keys",
        world.keys("host-b"),
        "--out",
        world.folder / "bundle",
    )
    assert closed(world, *other) == "evidence_differs"
    shutil.rmtree(world.keys("host-b"))
    generate_keys(world.keys("host-b"), name="host-a")  # of the same name, with other keys
    assert closed(world, *other) == "evidence_differs"


def test_an_evaluator_that_the_set_is_not_wrapped_for(world: World) -> None:
    (world.set / "wraps" / "host-a.json").unlink()
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    assert closed(world, *world.release(path, world.folder / "bundle")) == "not_enrolled"


@pytest.mark.parametrize(
    ("name", "spoil", "code"),
    [
        ("head.txt", lambda path: path.unlink(), "head_invalid"),
        ("head.txt", lambda path: path.write_bytes(path.read_bytes()[:-3]), "head_invalid"),
        ("manifest.json", lambda path: path.write_bytes(path.read_bytes() + b"\n"), "seal_broken"),
        ("items.sealed", lambda path: path.write_bytes(path.read_bytes()[:-9]), "seal_broken"),
        ("notices.jsonl", lambda path: path.write_bytes(path.read_bytes()[:-9]), "notice_invalid"),
    ],
)
def test_a_set_that_is_damaged(
    world: World, name: str, spoil: Callable[[Path], object], code: str
) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    spoil(world.set / name)
    assert closed(world, *world.release(path, world.folder / "bundle")) == code


def test_a_journal_that_is_damaged(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    journal = world.home / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"count":18', b'"count":17', 1))
    assert closed(world, *world.release(path, world.folder / "bundle")) == "journal_broken"


def test_where_the_bundle_cannot_be(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    (world.folder / "bundle").mkdir()
    assert closed(world, *world.release(path, world.folder / "bundle")) == "out_unwritable"
    assert closed(world, *world.release(path, world.identity / "bundle")) == "out_unwritable"
    missing = (
        *world.release(path, world.folder / "other"),
        "--licence-file",
        world.folder / "none",
    )
    assert closed(world, *missing) == "out_unwritable"


def test_files_that_are_not_there(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    none, out = world.folder / "none", world.folder / "bundle"
    assert closed(world, *world.release(none, out)) == "statement_unreadable"
    about = (
        "--statement",
        path,
        "--keys",
        world.keys("host-a"),
        "--home",
        world.home,
        "--out",
        out,
    )
    assert closed(world, "release", world.set, *about, "--evidence", none) == "evidence_unreadable"
    assert closed(world, "release", world.set, *about, "--evidence", path) == "evidence_unreadable"
    assert closed(world, "release", none, *about, "--evidence", world.evidence) == "unknown_set"


def test_a_bundle_that_does_not_verify_is_not_left_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last check is the stranger's own, on a draft: an evaluator that writes another item leaves no bundle."""
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    before = set(world.folder.iterdir())
    good = bundle.item_lines
    monkeypatch.setattr(
        bundle, "item_lines", lambda items: good(items).replace(b"How many", b"How much", 1)
    )
    code, found = command(*world.release(path, world.folder / "bundle"))
    assert (code, found["error"]) == (2, "bundle_broken") and set(world.folder.iterdir()) == before
    assert "item 0 is not the one" in found["detail"] and not any(
        one.decode() in str(found) for one in QUESTIONS
    )


def test_released_once_more_after_a_loss(world: World) -> None:
    """The same statement opens the set again, and the log says so a second time."""
    path = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    done(*world.release(path, world.folder / "bundle"))
    assert (
        refused(*world.release(path, world.folder / "bundle")) == "out_unwritable"
        and world.openings() == 1
    )
    done(*world.release(path, world.folder / "again"))
    assert world.openings() == 2


# --- signing


def sign(world: World, **changed: object) -> tuple[object, ...]:
    options = {
        "set": world.set,
        "evidence": world.evidence,
        "evaluator": world.identity,
        "keys": world.keys("ada"),
        "out": world.folder / "statement.json",
    }
    return (
        "sign",
        *(part for name, value in (options | changed).items() for part in (f"--{name}", value)),
    )


def test_who_may_not_sign_and_what(world: World) -> None:
    assert closed(world, *sign(world, keys=world.keys("mallory"))) == "not_a_maintainer"
    assert closed(world, *sign(world, keys=world.keys("host-a"))) == "key_unreadable"
    assert closed(world, *sign(world, evaluator=world.evidence)) == "key_unreadable"
    assert closed(world, *sign(world, out=world.evidence)) == "out_unwritable"
    assert closed(world, *sign(world, out=world.identity / "statement.json")) == "out_unwritable"
    assert closed(world, *sign(world, set=world.evidence)) == "unknown_set"
    changed_evidence(world, lambda data: data["runs"].pop(0))
    assert closed(world, *sign(world)) == "rule_not_met"


def test_evidence_of_another_set_is_not_signed(world: World) -> None:
    changed_evidence(world, lambda data: data.update(set="other"))
    assert closed(world, *sign(world)) == "evidence_differs"


def test_a_party_that_took_a_maintainers_name(world: World) -> None:
    """The name alone does not count: the key decides."""
    shutil.rmtree(world.keys("ada"))
    done("keygen", world.keys("ada"), "--role", "maintainer", "--name", "ada")
    assert closed(world, *sign(world)) == "not_a_maintainer"


def test_countersigning_leaves_the_statement_as_it_was_where_it_refuses(world: World) -> None:
    path = world.sign(world.folder / "statement.json", "ada")
    before = path.read_bytes()
    about = ("--set", world.set, "--evidence", world.evidence)
    assert (
        refused("countersign", path, *about, "--keys", world.keys("mallory")) == "not_a_maintainer"
    )
    changed_evidence(world, lambda data: data["runs"].pop(0))
    assert refused("countersign", path, *about, "--keys", world.keys("ben")) == "evidence_differs"
    assert path.read_bytes() == before


# --- T011: what a set may be sealed with


@pytest.mark.parametrize(
    "moment",
    [
        "2020-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "2030-01-01T00:00:00",
        "2030-02-30T00:00:00Z",
        "soon",
    ],
)
def test_fault_t011_a_date_that_no_set_is_sealed_with(
    world: World, tmp_path: Path, moment: str
) -> None:
    (tmp_path / "items.jsonl").write_bytes(b"\n".join(items_of()))
    about = ("--keys", world.identity, "--name", "next", "--out", tmp_path / "next")
    assert (
        refused("seal", tmp_path / "items.jsonl", *about, "--release-after", moment)
        == "rule_invalid"
    )
    (tmp_path / "rule.json").write_text(
        json.dumps({"any_of": [{"kind": "date", "moment": moment}]})
    )
    assert (
        refused("seal", tmp_path / "items.jsonl", *about, "--rule", tmp_path / "rule.json")
        == "rule_invalid"
    )
    assert not (tmp_path / "next").exists()
