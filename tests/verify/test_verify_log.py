"""The stranger's verifier of the ledger: an honest world passes twice, every planted fraud is found by its own code."""

import ast
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evaluator.ledger import signatures
from evaluator.ledger.notes import TreeHead, sign_head
from evaluator.ledger.tree import Tree, leaf_hash
from tests.verify import (
    frauds,
    frauds_of_scores,  # noqa: F401 - it adds its own
)
from tests.verify.frauds import FRAUDS
from tests.verify.frauds_of_scores import scored_by_four_samples
from tests.verify.world import LOG, N, honest, key, moment

SOURCE = Path(__file__).resolve().parents[2] / "verify" / "verify_log.py"


def build(source: str) -> ModuleType:
    """The verifier from a text of it."""
    spec = importlib.util.spec_from_loader("verify_log", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(source, str(SOURCE), "exec"), module.__dict__)
    return module


VERIFIER = build(SOURCE.read_text())


class Stranger:
    """Somebody who visits with a state folder of his own."""

    def __init__(self, folder: Path, verifier: ModuleType = VERIFIER) -> None:
        self.folder, self.state, self.verifier = folder, folder / "state", verifier
        self.options: list[str] = []

    def visit(self, files: dict[str, bytes], capsys: Any) -> tuple[int, set[str]]:
        """The exit code and the codes of what was found."""
        answers = self.folder / "answers"
        for name, data in files.items():
            (answers / name).parent.mkdir(parents=True, exist_ok=True)
            (answers / name).write_bytes(data)
        capsys.readouterr()
        command = ["--files", str(answers), "--state", str(self.state), "--json", *self.options]
        code = self.verifier.main(command)
        out = capsys.readouterr().out
        return code, {found for found, _ in json.loads(out)["findings"]} if out else set()


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


@pytest.fixture(scope="module")
def honest_files() -> dict[str, bytes]:
    return honest().files()


def test_an_honest_world_passes_twice(
    stranger: Stranger, honest_files: dict[str, bytes], capsys: Any
) -> None:
    assert stranger.visit(honest_files, capsys) == (0, set())
    remembered = (stranger.state / "memory.json").read_bytes()
    assert (stranger.state / "files" / f"ledger/{LOG}/lines.jsonl").read_bytes().count(b"\n") == 13
    assert stranger.visit(honest_files, capsys) == (0, set())
    again = json.loads((stranger.state / "memory.json").read_bytes())
    assert again["facts"] == json.loads(remembered)["facts"]


def test_an_honest_world_may_grow(
    stranger: Stranger, honest_files: dict[str, bytes], capsys: Any
) -> None:
    stranger.visit(honest_files, capsys)
    world = honest()
    world.heads.append(len(world.lines))
    world.lines += [
        world.expose(6, range(6), "models.example", "T2"),
        world.close(6, (3, 3, 0, 0, 0)),
    ]
    world.runs[5].update(state="ranked", model="delta", queued_at=moment(59))
    world.row(6, "delta", "T2", (3, 2, 0, 0))
    world.grant(5, [0, 1, 2], range(4, 18), token=2)
    assert stranger.visit(world.files(), capsys) == (0, set())
    assert json.loads((stranger.state / "memory.json").read_bytes())["facts"][f"log {LOG}"][14:]


def test_a_second_pair_and_a_withdrawn_typo_pass(stranger: Stranger, capsys: Any) -> None:
    """A typo was for ever: its terms differ from the manifest's, and the whole site's check ended with 2."""
    world = honest()
    world.more = {"second": {}, "typo": frauds.WITHDRAWN}
    world.run(7, "cancelled", "T0")
    world.runs[-1]["pair"] = "typo"
    for _ in range(2):
        assert stranger.visit(world.files(), capsys) == (0, set())
    world.more = {"typo": frauds.WITHDRAWN, "second": {}}
    assert stranger.visit(world.files(), capsys) == (0, set()), "whichever comes first"
    world.more["typo"] = {
        name: value for name, value in frauds.WITHDRAWN.items() if name != "withdrawn"
    }
    assert "withdrawn_gone" in stranger.visit(world.files(), capsys)[1]


def test_a_drill_is_a_line_like_others(stranger: Stranger, capsys: Any) -> None:
    world = honest()
    world.lines.append({"kind": "drill", "set": "private", "count": N})
    assert stranger.visit(world.files(), capsys) == (0, set())


@pytest.mark.parametrize("name", FRAUDS)
def test_fraud(name: str, stranger: Stranger, honest_files: dict[str, bytes], capsys: Any) -> None:
    planted = FRAUDS[name]
    if planted.later:
        assert stranger.visit(honest_files, capsys) == (0, set())
    world = honest()
    planted.commit(world)
    code, found = stranger.visit(world.files(), capsys)
    assert code == 2
    assert planted.code in found
    assert (stranger.state / "refused" / "runs.json").exists()


@pytest.mark.parametrize("name", [name for name, one in FRAUDS.items() if one.later])
def test_a_fraud_that_is_only_noticed_later_passes_at_first(
    name: str, stranger: Stranger, capsys: Any
) -> None:
    """Trust on first use, said plainly: for these a memory is needed, or somebody else's."""
    world = honest()
    FRAUDS[name].commit(world)
    assert FRAUDS[name].code not in stranger.visit(world.files(), capsys)[1]


MUTANTS = {
    "withheld_run": ("self.need(replaced or not counting,", "self.need(True,"),
    "better_score_than_on_the_log": ("good and least <= row[outcome] <= most", "good"),
    "smaller_n_on_the_board": ('0 < n == private["n"] and ', ""),
    "unsigned_notice": ('signed(public, message, notice["signature"])', "True"),
    "release_without_quorum": (
        'len(signers) == len(votes) >= manifest["quorum"] > 0',
        "len(signers) == len(votes) > 0",
    ),
    "opening_without_release": ('waits or line["statement"] == published', "True"),
    "exposure_never_granted": (
        'self.need(False, "exposure_not_granted", at=at)',
        "pass",
    ),
    "spare_item_revealed": ("released or not spare", "True"),
    "next_season_too_early": ('"exposed" in allowed or not out_of_season', "True"),
    "asked_again_after_the_end": ("attempt not in closed", "True"),
    "changed_rule": ("self.need(beginning == old,", "self.need(True,"),
    "one_maintainer_votes_twice": ("len(signers) == len(votes) >=", "len(votes) >="),
    "raised_cap": ('bool(manifest["cap"] == items)', "True"),
    "stage_left_out": ("sorted(staged) == sorted(exposed_blocks(manifest))", "True"),
    "false_witness": (" and all(verified.values())", ""),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_verifier_without_the_check_lets_it_pass(
    name: str, tmp_path: Path, honest_files: dict[str, bytes], capsys: Any
) -> None:
    old, new = MUTANTS[name]
    source = SOURCE.read_text()
    assert source.count(old) == 1
    stranger = Stranger(tmp_path, build(source.replace(old, new)))
    if FRAUDS[name].later:
        stranger.visit(honest_files, capsys)
    world = honest()
    FRAUDS[name].commit(world)
    assert stranger.visit(world.files(), capsys) == (0, set())


def test_a_split_view_is_seen_by_two_strangers(
    tmp_path: Path, honest_files: dict[str, bytes], capsys: Any
) -> None:
    """Each was told a whole log; only together do they see that it was not the same one."""
    one, other = Stranger(tmp_path / "one"), Stranger(tmp_path / "other")
    forked = honest()
    forked.lines[0]["host"] = "evaluator-3"
    assert one.visit(honest_files, capsys)[0] == other.visit(forked.files(), capsys)[0] == 0
    other.options = ["--also", str(one.state)]
    code, found = other.visit(forked.files(), capsys)
    assert code == 2 and {"log_changed", "head_changed"} <= found
    assert one.visit(honest_files, capsys) == (0, set())


def test_what_does_not_hold_is_not_remembered(
    stranger: Stranger, honest_files: dict[str, bytes], capsys: Any
) -> None:
    stranger.visit(honest_files, capsys)
    before = (stranger.state / "memory.json").read_bytes()
    world = honest()
    FRAUDS["silent_reseal"].commit(world)
    assert stranger.visit(world.files(), capsys)[0] == 2
    assert (stranger.state / "memory.json").read_bytes() == before


def test_saved_answers_can_be_checked_again(
    stranger: Stranger, honest_files: dict[str, bytes], capsys: Any
) -> None:
    stranger.visit(honest_files, capsys)
    fresh = stranger.folder / "fresh"
    assert VERIFIER.main(["--files", str(stranger.state / "files"), "--state", str(fresh)]) == 0
    said = capsys.readouterr().out
    assert (
        f"13 {LOG}: lines, signed and chained" in said and "facts remembered (first visit" in said
    )
    VERIFIER.main(["--files", str(stranger.state / "files"), "--state", str(fresh)])
    assert "first visit" not in capsys.readouterr().out


@pytest.mark.parametrize("memory", ["{", '"', '{"facts": 1}', ""])
def test_nothing_is_concluded_without_a_site_or_a_memory(
    tmp_path: Path, memory: str, capsys: Any
) -> None:
    state = tmp_path / "state"
    nowhere = ["--site", "http://127.0.0.1:9", "--state", str(state)]
    assert VERIFIER.main(nowhere) == 3
    assert not state.exists()
    state.mkdir()
    (state / "memory.json").write_text(memory)
    assert VERIFIER.main(nowhere) == 3
    assert (state / "memory.json").read_text() == memory
    assert "nothing can be concluded" in capsys.readouterr().err


def test_a_signature_is_verified_once(
    stranger: Stranger, honest_files: dict[str, bytes], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[bytes] = []
    signed = VERIFIER.signed
    monkeypatch.setattr(VERIFIER, "signed", lambda *what: verified.append(what[1]) or signed(*what))
    of_lines = lambda: sum(message.startswith(b"holdfast/log/v2") for message in verified)  # noqa: E731
    stranger.visit(honest_files, capsys)
    assert of_lines() == 13
    stranger.visit(honest_files, capsys)
    assert of_lines() == 13


def test_no_answer_breaks_out_of_the_folder_or_the_terminal(
    stranger: Stranger, capsys: Any
) -> None:
    files = honest().files()
    told = json.loads(files["evaluators.json"])
    told["evaluators"][0]["name"] = "../../\x1b[31mred"
    files["evaluators.json"] = json.dumps(told).encode()
    assert stranger.visit(files, capsys) == (2, {"answer_malformed"})
    assert (
        VERIFIER.main(["--files", str(stranger.folder / "answers"), "--state", str(stranger.state)])
        == 2
    )
    assert "\x1b" not in capsys.readouterr().out


# RFC 8032, 7.1: public key, message, signature
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_signatures_of_the_standard(public: str, message: str, signature: str) -> None:
    data = bytes.fromhex(message)
    assert VERIFIER.signed(public, data, signature)
    assert not VERIFIER.signed(public, data + b"x", signature)
    order = 2**252 + 27742317777372353535851937790883648493
    larger = (
        (int.from_bytes(bytes.fromhex(signature[64:]), "little") + order)
        .to_bytes(32, "little")
        .hex()
    )
    for bad in (signature[:64] + larger, signature.upper(), signature[:-2], signature + "00", ""):
        assert not VERIFIER.signed(public, data, bad)
        assert not signatures.verify(public, data, bad)


def test_signatures_as_the_library_sees_them() -> None:
    signer = key("anyone")
    public, good = signatures.public_hex(signer), signatures.sign(signer, b"message")
    for place in range(0, 512, 3):
        raw = bytearray(bytes.fromhex(good))
        raw[place // 8] ^= 1 << place % 8
        assert not VERIFIER.signed(public, b"message", raw.hex())
    small = [
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ]
    for other in [*small, "ff" * 32, "02" + "00" * 31, public]:
        for signature in ("00" * 64, "01" + "00" * 63, good):
            assert VERIFIER.signed(other, b"message", signature) == signatures.verify(
                other, b"message", signature
            )


def test_trees_and_notes_as_the_evaluator_makes_them() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(70)]
    tree = Tree(leaves)
    found = VERIFIER.roots([leaf.hex() for leaf in leaves], set(range(71)))
    assert found == {size: tree.root(size).hex() for size in range(71)}
    note = sign_head(TreeHead("origin", 5, tree.root(5)), name="signer", private_key=key("signer"))
    public = signatures.public_hex(key("signer"))
    head, who = VERIFIER.read_note(note, {"signer": (public, 1)})
    assert (head, who) == (("origin", 5, found[5], []), {"signer": True})
    assert VERIFIER.read_note(note, {"signer": (public, 4)})[1] == {"signer": False}
    assert VERIFIER.read_note(note, {"somebody": (public, 1)})[1] == {}


def test_it_runs_on_older_pythons_and_alone() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert not {name.split(".")[0] for name in imported} & {
        "cryptography",
        "msgspec",
        "evaluator",
        "leaderboard",
    }


def test_moments_with_and_without_fractions() -> None:
    assert VERIFIER.seconds_of("1970-01-01T00:00:10Z") == 10
    assert VERIFIER.seconds_of("1970-01-01T00:00:10.5Z") == 10.5
    assert VERIFIER.seconds_of("1970-01-01T00:00:10.000001Z") == 10.000001
    with pytest.raises(ValueError):
        VERIFIER.seconds_of("1970-01-01")


def test_a_block_that_is_retired_and_a_compromise(tmp_path: Path, capsys: Any) -> None:
    """Honest boards over what is left of a form; of a compromised set there is no row, and none is missed."""
    world = honest()
    world.notice(kind="retire_block", item=None, block=1, reason="leaked", moment=moment(4))
    for row, counts in zip(world.rows, ((8, 2, 1, 0), (4, 0, 0, 1), (3, 2, 0, 0)), strict=True):
        row["version"] = 2
        row["private"] |= dict(
            zip(("right", "wrong", "no_answer", "truncated"), counts, strict=True)
        )
        row["private"] |= {"n": sum(counts), "accuracy": counts[0] / sum(counts)}
    assert Stranger(tmp_path / "one").visit(world.files(), capsys) == (0, set())
    world.notice(kind="compromise", item=None, reason="leaked", moment=moment(5))
    world.rows.clear()
    assert Stranger(tmp_path / "other").visit(world.files(), capsys) == (0, set())
    shutil.rmtree(tmp_path)


def test_an_evaluator_that_was_frozen_and_came_back(stranger: Stranger, capsys: Any) -> None:
    """Its old attempt shows items again and closes after the newer one did: lost work, no fraud."""
    world = honest()
    world.lines.append(world.expose(3, range(6, 12), "hosted.example", "T1"))
    world.lines.append(world.close(3, (7, 5, 0, 0, 0)))
    assert stranger.visit(world.files(), capsys) == (0, set())


def _twice(answers: Any, files: Any) -> None:
    answers["grants.json"]["grants"].append(
        answers["grants.json"]["grants"][0] | {"token": 2, "recipient": "x"}
    )
    answers["grants.json"]["grants"][-1]["token"] = 1


SMALL = {
    "evaluator_flagged": lambda answers, files: answers["evaluators.json"]["evaluators"][0].update(
        flagged=True
    ),
    "set_unknown": lambda answers, files: answers["sets.json"]["pairs"].pop(0),
    "grant_twice": _twice,
    "answer_malformed": lambda answers, files: files.update(
        {f"ledger/{LOG}/lines.jsonl": b"no line\n"}
    ),
    "row_unknown": lambda answers, files: answers["runs.json"]["runs"][0].update(model="omega"),
    "score_differs": lambda answers, files: answers["board/pair.json"]["rows"][1]["private"].update(
        accuracy=0.99
    ),
}


@pytest.mark.parametrize("code", SMALL)
def test_a_site_that_does_not_fit_together(code: str, stranger: Stranger, capsys: Any) -> None:
    world = honest()
    world.spoil = SMALL[code]
    found = stranger.visit(world.files(), capsys)
    assert found[0] == 2 and code in found[1]


def test_lines_that_their_evaluator_signed_wrong(stranger: Stranger, capsys: Any) -> None:
    world = honest()
    world.lines[3]["count"] -= 1
    world.lines[4]["root"] = "ab" * 32
    code, found = stranger.visit(world.files(), capsys)
    assert code == 2 and {"line_malformed", "root_differs", "exposure_beyond_grant"} <= found


def test_pages_are_joined_however_short_they_are(honest_files: dict[str, bytes]) -> None:
    asked: list[str] = []

    def get(address: str) -> bytes:
        asked.append(address)
        path, _, query = address.partition("?")
        options = dict(one.split("=") for one in query.split("&")) if query else {}
        if path.endswith("/lines"):
            lines = honest_files[f"{path}.jsonl"].splitlines(keepends=True)
            return b"".join(lines[int(options["start"]) :][:2])
        if "limit" in options:
            ((field, rows),) = json.loads(honest_files[f"{path}.json"]).items()
            rows = [{"id": number} | one for number, one in enumerate(rows, 1)]
            places = [
                place for place, one in enumerate(rows, 1) if str(one["id"]) == options.get("after")
            ]
            return json.dumps({field: rows[places[0] if places else 0 :][:2]}).encode()
        path = (
            f"board/{options['pair']}"
            if "pair" in options
            else path.replace("/manifest", ".manifest")
        )
        return honest_files[f"{path}.json"]

    files = VERIFIER.fetch(get)
    assert set(files) == set(honest_files) and len(asked) > 20
    assert files[f"ledger/{LOG}/lines.jsonl"] == honest_files[f"ledger/{LOG}/lines.jsonl"]
    visit = VERIFIER.Visit(files, {}, 2e9)
    visit.check()
    assert visit.findings == []
    assert [one["token"] for one in json.loads(files["grants.json"])["grants"]] == [
        1,
        1,
        1,
        2,
        1,
        1,
        1,
    ]


def test_a_closing_over_less_than_a_cell_need_not_be_opened(
    stranger: Stranger, capsys: Any
) -> None:
    world = honest()
    world.sets["private"]["cell"] = 9
    for row, counts in zip(world.rows, ((15, 2, 1), (4, 1, 0), (8, 4, 0)), strict=True):
        n = sum(counts) + row["private"]["truncated"]
        row["private"] |= dict(zip(("right", "wrong", "no_answer"), counts, strict=True))
        row["private"] |= {"n": n, "accuracy": counts[0] / n}
    world.spoil = lambda answers, files: answers["runs.json"]["runs"][1].update(tallies=[])
    assert stranger.visit(world.files(), capsys) == (0, set())
    world.spoil = lambda answers, files: answers["runs.json"]["runs"][0].update(tallies=[])
    assert stranger.visit(world.files(), capsys) == (2, {"tally_differs"})


def test_a_self_declared_endpoint_has_a_score_in_steps_and_an_unopened_closing(
    stranger: Stranger, capsys: Any
) -> None:
    world = honest()
    world.rows[1]["private"] |= {"right": 3, "wrong": 1, "accuracy": 3 / 5}
    assert world.rows[1]["tier"] == "T2"
    world.spoil = lambda answers, files: answers["runs.json"]["runs"][1].update(tallies=[])
    assert stranger.visit(world.files(), capsys) == (0, set())
    world.spoil = lambda answers, files: answers["runs.json"]["runs"][2].update(tallies=[])
    assert "tally_differs" in stranger.visit(world.files(), capsys)[1]


def test_a_mean_over_samples_is_what_the_log_commits_to(stranger: Stranger, capsys: Any) -> None:
    world = honest()
    scored_by_four_samples(world, 2, 13)
    assert stranger.visit(world.files(), capsys) == (0, set())


def test_a_broken_memory_is_not_the_site_s_fault(
    stranger: Stranger, honest_files: dict[str, bytes], capsys: Any
) -> None:
    stranger.state.mkdir()
    (stranger.state / "memory.json").write_text('{"facts": 1, "visited": 0}')
    assert stranger.visit(honest_files, capsys) == (3, set())


def test_a_folder_without_answers(tmp_path: Path, capsys: Any) -> None:
    command = ["--files", str(tmp_path / "none"), "--state", str(tmp_path / "state")]
    assert VERIFIER.main(command) == 3
    assert "no answers" in capsys.readouterr().err
