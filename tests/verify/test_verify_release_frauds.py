"""Frauds of an evaluator that signs its bundle anew, some with deceived or colluding maintainers.

Each is refused for its own reason; the verifier without that check is deceived, so each check is needed and each
fraud is a good forgery otherwise.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluator.cli import releasing
from evaluator.contract import canonical_json
from evaluator.items import Item, parse_items
from evaluator.ledger import signatures
from evaluator.ledger.notes import TreeHead, cosign, open_note, sign_head
from evaluator.ledger.releases import SignedStatement, signed_bytes
from evaluator.sealing import allocation, bundle
from tests.verify.forging import (
    Forger,
    Rows,
    blind,
    read_bundle,
    sign_contents,
    verdict,
    write_bundle,
)
from tests.verify.releases import (
    ERRATUM,
    SEED,
    World,
    artefact,
    done,
    load_verifier,
    make_world,
    weights,
)

HONEST = load_verifier()
RUN = "00000000-0000-0000-0000-00000000000{}"
ANT, CAT, DOG, STRAY = (RUN.format(number) for number in (0, 2, 3, 4))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_world(tmp_path_factory.mktemp("world"))
    done(
        *world.release(
            world.sign(world.folder / "statement.json", "ada", "ben", "cleo"),
            world.folder / "bundle",
        )
    )
    return world


def change_item(forger: Forger) -> None:
    """Another question, chosen so that the deal still looks right."""
    rows = [msgspec.json.decode(line) for line in forger.files["items.jsonl"].splitlines()]
    blocks = forger.world.manifest.blocks
    for attempt in range(200):
        rows[5]["question"] = f"How few? {attempt}"
        items = parse_items(
            canonical_json({"question": one["question"], "answer": one["answer"]}) for one in rows
        )
        if allocation.deal(items, SEED, blocks) == list(range(len(rows))):
            break
    forger.lines("items.jsonl", lambda old: old[5].update(question=rows[5]["question"]))


def change_salt(forger: Forger) -> None:
    forger.lines("items.jsonl", lambda rows: rows[5].update(salt=rows[6]["salt"]))


def miss_the_rule(forger: Forger) -> None:
    """The maintainers sign all the same."""
    forger.evidence(lambda value: value["runs"][2].update(flagged=True))


def lack_a_vote(forger: Forger) -> None:
    forger.voters = ("ada", "ben")
    forger.statement()


def vote_twice(forger: Forger) -> None:
    forger.value("statement.json", lambda value: value["votes"].__setitem__(2, value["votes"][0]))


def forge_a_vote(forger: Forger) -> None:
    def edit(value: dict[str, Any]) -> None:
        message = signed_bytes(SignedStatement.from_dict(value).statement)
        value["votes"][2]["signature"] = signatures.sign(forger.world.signer("mallory"), message)

    forger.value("statement.json", edit)


def vote_from_outside(forger: Forger) -> None:
    forge_a_vote(forger)
    forger.value("statement.json", lambda value: value["votes"][2].update(maintainer="mallory"))


def change_evidence_after_the_votes(forger: Forger) -> None:
    forger.value("evidence.json", lambda value: value["runs"][3].update(flagged=True))


def count_a_run_thrice(forger: Forger) -> None:
    """One run passes for three models; the maintainers do not look."""

    def edit(value: dict[str, Any]) -> None:
        value["runs"] = [
            {**value["runs"][0], "model": one, "lineage": one} for one in ("ant", "bee", "cat")
        ]

    for number in (1, 2, 3):
        del forger.files[f"completions/{RUN.format(number)}.jsonl"]
    forger.evidence(edit)


def _one_checkpoint(forger: Forger) -> None:
    """The log of an evaluator that was given one checkpoint under three names."""

    def edit(rows: Rows) -> None:
        for row in rows:
            if row["kind"] == "closing":
                row.update(artefact=artefact("ant"), weights=weights("ant").digest())

    forger.log(edit)


def count_copies(forger: Forger) -> None:
    """Three names and three lineages of one checkpoint; the maintainers do not look."""
    _one_checkpoint(forger)
    same = {"artefact": artefact("ant"), "weights": weights("ant").to_dict()}

    def edit(value: dict[str, Any]) -> None:
        forger.rename_closings(value)
        for run in value["runs"]:
            run.update(same)

    forger.evidence(edit)


def hide_copies(forger: Forger) -> None:
    """The same, with evidence that tells the copies apart."""
    _one_checkpoint(forger)
    forger.evidence(forger.rename_closings)


def hide_an_overlap(forger: Forger) -> None:
    """Only the list of tensors is another one than the log commits to."""
    other = weights("bee").to_dict()
    forger.evidence(lambda value: value["runs"][2].update(weights=other | {"bytes": 2001}))


def count_more_right(forger: Forger) -> None:
    """A site that lies to its maintainers about ``dog``."""
    forger.evidence(lambda value: value["runs"][3].update(right=17))


def withdraw_the_notice(forger: Forger) -> None:
    """Item 3 counts again, in no run's favour."""
    del forger.files["notices.jsonl"]


def change_the_notice(forger: Forger) -> None:
    forger.lines("notices.jsonl", lambda rows: rows[0].update(reason="ambiguous"))


def shorten_the_notice(forger: Forger) -> None:
    """A maintainer signs a notice without one of its fields."""

    def edit(rows: Rows) -> None:
        del rows[0]["block"], rows[0]["signature"]
        message = b"holdfast/notice/v1\n" + canonical_json(rows[0])
        key = forger.world.signer(rows[0]["maintainer"])
        rows[0]["signature"] = signatures.sign(key, message)

    forger.lines("notices.jsonl", edit)


def change_the_head(forger: Forger) -> None:
    head = forger.world.manifest.head()
    key = forger.world.signer("mallory")
    forger.files["head.txt"] = sign_head(head, name="ada", private_key=key).encode()


def change_the_head_by_a_good_key_id(forger: Forger) -> None:
    """Only the signature's own bytes are wrong."""
    note = forger.files["head.txt"].decode()
    body = note.partition("\n\n")[0] + "\n"
    other = sign_head(
        TreeHead("x", 1, bytes(32)), name="ada", private_key=forger.world.signer("ada")
    )
    forger.files["head.txt"] = (body + "\n" + other.rpartition("\n\n")[2]).encode()


def forge_a_cosignature(forger: Forger) -> None:
    head = forger.world.manifest.head()
    note = sign_head(head, name="ada", private_key=forger.world.signer("ada"))
    seen = datetime(2020, 1, 1, tzinfo=UTC)
    forger.files["head.txt"] = cosign(
        note, name="wit", private_key=forger.world.signer("mallory"), moment=seen
    ).encode()


def sign_the_head_as_a_stranger(forger: Forger) -> None:
    key = forger.world.signer("mallory")
    forger.files["head.txt"] = sign_head(
        forger.world.manifest.head(), name="mallory", private_key=key
    ).encode()


def sign_the_head_too(forger: Forger) -> None:
    key = forger.world.signer("mallory")
    line = sign_head(forger.world.manifest.head(), name="mallory", private_key=key).rpartition(
        "\n\n"
    )[2]
    forger.files["head.txt"] += line.encode()


def drop_a_line(forger: Forger) -> None:
    """What ``stray`` saw; nothing else is touched."""
    forger.log(lambda rows: drop(rows, "exposure", STRAY), chain=False)


def drop_a_line_and_chain_anew(forger: Forger) -> None:
    forger.log(lambda rows: drop(rows, "exposure", STRAY))
    forger.log(lambda rows: drop(rows, "exposure", ANT))


def drop_the_opening(forger: Forger) -> None:
    forger.log(lambda rows: rows.pop())


def open_under_another_statement(forger: Forger) -> None:
    forger.log(lambda rows: rows[-1].update(statement="00" * 32))


def sign_the_log_with_another_key(forger: Forger) -> None:
    lines = forger.files["log.jsonl"].splitlines()
    head = open_note(forger.files["log.head.txt"].decode()).head
    assert head.size == len(lines)
    key = forger.world.signer("mallory")
    forger.files["log.head.txt"] = sign_head(head, name="host-a", private_key=key).encode()


def drop(rows: Rows, kind: str, run: str) -> None:
    rows[:] = [row for row in rows if (row["kind"], row.get("run")) != (kind, run)]


def change_an_answer(forger: Forger) -> None:
    forger.lines(f"completions/{CAT}.jsonl", lambda rows: rows[6].update(text=json.dumps("better")))


def change_a_count(forger: Forger) -> None:
    """The closing says that ``dog`` answered one item less than it did; the evidence names that closing."""

    def edit(rows: Rows) -> None:
        for row in rows:
            if row["kind"] == "closing" and row["run"] == DOG:
                row.update(not_counted=row["not_counted"] + 1)

    forger.log(edit)
    forger.evidence(forger.rename_closings)


def add_answers(forger: Forger) -> None:
    """Of a run that the evidence does not have."""
    forger.files[f"completions/{STRAY}.jsonl"] = forger.files[f"completions/{DOG}.jsonl"]


def reorder_answers(forger: Forger) -> None:
    """The tree is then over another order; the closing's own root is changed with it."""

    def edit(rows: Rows) -> None:
        rows[0], rows[1] = rows[1], rows[0]

    forger.lines(f"completions/{DOG}.jsonl", edit)
    answers = [
        msgspec.json.decode(line) for line in forger.files[f"completions/{DOG}.jsonl"].splitlines()
    ]
    hashed = [
        HONEST.sha256(bytes.fromhex(row["salt"]) + text_of(row)).hexdigest() for row in answers
    ]
    leaves = [
        HONEST.leaf_hash(
            b"holdfast/outcome/v1\n" + canonical_json([row["index"], one, row["outcome"]])
        )
        for row, one in zip(answers, hashed, strict=True)
    ]

    def close(rows: Rows) -> None:
        for row in rows:
            if row["kind"] == "closing" and row["run"] == DOG:
                row.update(outcomes=HONEST.tree_root(leaves))

    forger.log(close)
    forger.evidence(forger.rename_closings)


def text_of(row: dict[str, Any]) -> bytes:
    return str(json.loads(row["text"])).encode("utf-8", "surrogatepass")


def sign_for_later(forger: Forger) -> None:
    forger.statement(moment="2999-01-01T00:00:00Z")


def change_the_licence(forger: Forger) -> None:
    forger.value("manifest.json", lambda value: value.update(licence="CC0-1.0"))


@dataclass(frozen=True)
class Fraud:
    make: Callable[[Forger], None]
    reason: str
    also: str = "$^"
    """Further checks that stand in this fraud's way."""


FRAUDS = [
    Fraud(change_item, "item 5 is not the one that was committed to"),
    Fraud(change_salt, "item 5 has a salt that is not the seed's"),
    Fraud(miss_the_rule, "the evidence does not meet the release rule"),
    Fraud(lack_a_vote, "2 of 3 maintainers signed"),
    Fraud(vote_twice, "a maintainer voted twice"),
    Fraud(forge_a_vote, "cleo did not sign this"),
    Fraud(vote_from_outside, "mallory did not sign this"),
    Fraud(change_evidence_after_the_votes, "the statement is about another evidence"),
    Fraud(
        count_a_run_thrice,
        "the evidence lists a run twice",
        "the evidence does not meet the release rule",
    ),
    Fraud(count_copies, "the evidence does not meet the release rule"),
    Fraud(hide_copies, "was of other weights"),
    Fraud(hide_an_overlap, "the evidence does not meet the release rule", "was of other weights"),
    Fraud(count_more_right, f"the evidence counts {DOG} otherwise"),
    Fraud(withdraw_the_notice, "the evidence counts .* otherwise"),
    Fraud(change_the_notice, "notice 0 is not signed"),
    Fraud(change_the_head, "head.txt: ada did not sign it"),
    Fraud(change_the_head_by_a_good_key_id, "head.txt: ada did not sign it"),
    Fraud(forge_a_cosignature, "head.txt: wit did not sign it"),
    Fraud(sign_the_head_as_a_stranger, "head.txt is signed by no maintainer"),
    Fraud(sign_the_head_too, "head.txt has a signature by another party"),
    Fraud(drop_a_line, "line 10 of the log does not follow", "of the log does not"),
    Fraud(drop_a_line_and_chain_anew, "the evidence lacks a closing"),
    Fraud(drop_the_opening, "the log does not end with the opening"),
    Fraud(open_under_another_statement, "the log does not end with the opening"),
    Fraud(sign_the_log_with_another_key, "log.head.txt is not signed by host-a"),
    Fraud(change_an_answer, f"answers of {CAT} are not those that were committed to"),
    Fraud(change_a_count, f"counts of {DOG} are not those of its closing"),
    Fraud(add_answers, "completions are missing or too many"),
    Fraud(reorder_answers, f"answers of {DOG} are out of order"),
    Fraud(sign_for_later, "the statement is from the future"),
    Fraud(
        change_the_licence, "head.txt is of another set", "the statement is about another manifest"
    ),
]

NEEDS_MORE = (sign_the_head_as_a_stranger, sign_the_head_too)
"""Whoever signs under a name that nobody has is met by a lookup of its key, too."""


@pytest.mark.parametrize("fraud", FRAUDS, ids=lambda fraud: fraud.make.__name__)
def test_frauds_that_are_signed_anew(world: World, tmp_path: Path, fraud: Fraud) -> None:
    forger = Forger(world, read_bundle(world.folder / "bundle"))
    fraud.make(forger)
    forged = forger.bundle(tmp_path / "forged")
    found = verdict(HONEST, forged)
    assert HONEST.re.search(fraud.reason, found), found
    if fraud.make not in NEEDS_MORE:
        assert verdict(blind(f"{fraud.reason}|{fraud.also}"), forged) == ""


def test_the_forger_itself_is_no_reason_to_refuse(world: World, tmp_path: Path) -> None:
    """What it signs anew without a change is accepted: it is the changes that are found."""
    forger = Forger(world, read_bundle(world.folder / "bundle"))
    forger.evidence(lambda value: value.update(moment="2026-02-02T00:00:00Z"))
    assert verdict(HONEST, forger.bundle(tmp_path / "again")) == ""


def test_a_notice_without_one_of_its_fields(world: World, tmp_path: Path) -> None:
    forger = Forger(world, read_bundle(world.folder / "bundle"))
    shorten_the_notice(forger)
    assert verdict(HONEST, forger.bundle(tmp_path / "forged")) == "'block'"


def test_another_key_over_the_contents(world: World, tmp_path: Path) -> None:
    files = sign_contents(read_bundle(world.folder / "bundle"), world)
    message = b"holdfast/contents/v1\n" + files["contents.json"]
    files["contents.sig"] = f"{signatures.sign(world.signer('mallory'), message)}\n".encode()
    forged = write_bundle(tmp_path / "forged", files)
    assert verdict(HONEST, forged) == "contents.json is not signed"
    assert verdict(blind("contents.json is not signed"), forged) == ""


def test_items_that_were_dealt_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sealed it chose which item is spare. Everybody signed in good faith; its own checks are taken out."""
    deal = allocation.deal

    def by_hand(items: tuple[Item, ...], seed: bytes, blocks: Any) -> list[int]:
        order = deal(items, seed, blocks)
        return [order[-1], *order[1:-1], order[0]]

    with monkeypatch.context() as dishonest:
        dishonest.setattr(allocation, "deal", by_hand)
        dishonest.setattr(releasing, "deal", lambda items, seed, blocks: list(range(len(items))))
        dishonest.setattr(bundle, "check_bundle", lambda folder: None)
        world = make_world(tmp_path)
        done(
            *world.release(
                world.sign(tmp_path / "statement.json", "ada", "ben", "eve"), tmp_path / "bundle"
            )
        )
    reason = "the items lie where the seed did not deal them"
    assert verdict(HONEST, tmp_path / "bundle") == reason
    assert verdict(blind(reason), tmp_path / "bundle") == ""


def test_the_item_with_the_erratum_counts_for_nobody(world: World) -> None:
    """What the frauds about counts stand on: every run got it wrong, and the evidence has one item fewer."""
    evidence = json.loads(world.evidence.read_bytes())
    assert [run["n"] for run in evidence["runs"]] == [17] * 4 and ERRATUM == 3
    assert [run["right"] for run in evidence["runs"]] == [17, 17, 17, 12]
