"""What a dishonest operator may do to the world of ``world.py``, each by a name, with the code that it must be found by.

He has the evaluator's and the maintainers' keys unless it says otherwise: what he changes is signed again.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from evaluator.contract import canonical_json, pack_bits
from evaluator.ledger.notes import cosign, sign_head
from tests.verify.world import LOG, N, World, _seen, honest, key, moment, run_id, sealed

Answers, Files = dict[str, Any], dict[str, bytes]
LINES = f"ledger/{LOG}/lines.jsonl"


@dataclass(frozen=True)
class Fraud:
    """``code`` is what it is found by; ``later`` for one that only somebody notices who was there before."""

    code: str
    later: bool
    commit: Callable[[World], None]


FRAUDS: dict[str, Fraud] = {}


def fraud(
    code: str, *, later: bool = False
) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    def enter(commit: Callable[[World], None]) -> Callable[[World], None]:
        FRAUDS[commit.__name__] = Fraud(code, later, commit)
        return commit

    return enter


def index_of(world: World, kind: str, run: int) -> int:
    """The first such line of a run."""
    wanted = (kind, run_id(run))
    return next(
        place for place, line in enumerate(world.lines) if (line["kind"], line.get("run")) == wanted
    )


def row_of(world: World, run: int) -> Any:
    return next(row for row in world.rows if row["run"] == run_id(run))


def spoiled(
    code: str, *, later: bool = False
) -> Callable[[Callable[[Answers, Files], None]], Callable[..., None]]:
    """A fraud on the finished answers: what an operator does who has no key for it."""

    def enter(spoil: Callable[[Answers, Files], None]) -> Callable[..., None]:
        FRAUDS[spoil.__name__] = Fraud(code, later, lambda world: setattr(world, "spoil", spoil))
        return spoil

    return enter


@spoiled("leaves_differ")
def swapped_item(answers: Answers, files: Files) -> None:
    told = json.loads(files["sets/pair.manifest.json"])
    told["leaves"][3] = "ab" * 32
    files["sets/pair.manifest.json"] = canonical_json(told) + b"\n"


@fraud("set_changed", later=True)
def silent_reseal(world: World) -> None:
    world.sets["private"]["items"][3] = "an easier one"


@fraud("rule_changed", later=True)
def changed_rule(world: World) -> None:
    world.sets["private"]["rule"]["any_of"][0]["numerator"] = 50


@fraud("manifest_invalid")
def raised_cap(world: World) -> None:
    world.sets["private"]["cap"] = 18


@fraud("manifest_invalid")
def stage_left_out(world: World) -> None:
    world.sets["private"]["stages"] = [[0]]


@fraud("terms_differ")
def other_protocol(world: World) -> None:
    world.sets["private"]["terms"]["protocol"] = "demo-8shot"


@spoiled("manifest_differs")
def other_manifest_than_registered(answers: Answers, files: Files) -> None:
    answers["sets/pair.json"]["private"].update(digest="ab" * 32)


def _with_note(world: World, note: str) -> None:
    world.spoil = lambda answers, files: answers["sets/pair.json"].update(head=note)


@fraud("set_head_invalid")
def head_by_no_maintainer(world: World) -> None:
    _with_note(
        world,
        sign_head(sealed(world.sets["private"]).head(), name="mallory", private_key=key("mallory")),
    )


@fraud("set_head_invalid")
def false_witness(world: World) -> None:
    note = sign_head(sealed(world.sets["private"]).head(), name="grace", private_key=key("grace"))
    _with_note(world, cosign(note, name="witness", private_key=key("mallory"), moment=_seen()))


@spoiled("pair_gone", later=True)
def vanished_pair(answers: Answers, files: Files) -> None:
    answers["sets.json"]["pairs"].pop(0)


@fraud("log_changed", later=True)
def rewritten_history(world: World) -> None:
    world.lines[0]["host"] = "evaluator-3"


@fraud("log_gone", later=True)
def truncated_log(world: World) -> None:
    del world.lines[-2:]


@spoiled("log_forked")
def forked_log(answers: Answers, files: Files) -> None:
    other = honest()
    other.lines[1]["moment"] = moment(12)
    answers[f"ledger/{LOG}/heads.json"]["heads"].append(other.head(4))


@spoiled("head_differs")
def head_over_other_lines(answers: Answers, files: Files) -> None:
    other = honest()
    other.lines[1]["moment"] = moment(12)
    answers[f"ledger/{LOG}/heads.json"]["heads"][0] = other.head(4)


@spoiled("head_unsigned")
def forged_head(answers: Answers, files: Files) -> None:
    head = answers[f"ledger/{LOG}/heads.json"]["heads"][0]
    head["note"] = head["note"].replace("\n4\n", "\n5\n")


def _without_last_line(answers: Answers, files: Files) -> None:
    files[LINES] = b"".join(files[LINES].splitlines(keepends=True)[:-1])


@spoiled("head_without_lines")
def head_without_lines(answers: Answers, files: Files) -> None:
    _without_last_line(answers, files)
    answers["evaluators.json"]["evaluators"][0]["lines"] -= 1


@spoiled("lines_missing")
def lines_that_are_not_served(answers: Answers, files: Files) -> None:
    _without_last_line(answers, files)


@spoiled("line_unsigned")
def line_without_the_key(answers: Answers, files: Files) -> None:
    files[LINES] = files[LINES].replace(b'"recipient":"jail"', b'"recipient":"else"', 1)


@spoiled("chain_broken")
def lines_out_of_order(answers: Answers, files: Files) -> None:
    one, other, *rest = files[LINES].splitlines(keepends=True)
    files[LINES] = b"".join([other, one, *rest])


@fraud("key_changed", later=True)
def changed_key(world: World) -> None:
    world.signer = "another evaluator"


@fraud("exposure_not_granted")
def exposure_never_granted(world: World) -> None:
    world.lines.append(world.expose(9, range(6)))


@fraud("exposure_beyond_grant")
def shown_to_somebody_else(world: World) -> None:
    world.lines[index_of(world, "exposure", 2)]["recipient"] = "friend.example"


@fraud("exposure_beyond_grant")
def shown_more_than_granted(world: World) -> None:
    world.lines[index_of(world, "exposure", 5)] |= {"items": pack_bits([0, 17], N), "count": 2}
    world.grants[5]["sets"][1]["items"] = pack_bits(range(17), N)


@fraud("attempt_closed")
def asked_again_after_the_end(world: World) -> None:
    world.lines.append(world.expose(2, range(6), "models.example", "T2"))


@fraud("grant_changed", later=True)
def grant_altered_afterwards(world: World) -> None:
    world.grants[5]["sets"][1]["items"] = pack_bits(range(12), N)


@fraud("grant_gone", later=True)
def grant_taken_away(world: World) -> None:
    del world.grants[-1]


@spoiled("grant_hash_wrong")
def grant_of_another_hash(answers: Answers, files: Files) -> None:
    answers["grants.json"]["grants"][5]["recipient"] = "hosted.example"


@fraud("local_item_exposed")
def local_item_to_an_endpoint(world: World) -> None:
    world.grant(6, [0, 1, 2], range(18), to="hosted.example", token=2)
    world.lines.append(world.expose(6, [13], "hosted.example", "T1", token=2))


@fraud("spare_item_exposed")
def spare_item_revealed(world: World) -> None:
    world.grant(6, [0, 1, 2, 3], range(N), token=2)
    world.lines.append(world.expose(6, [20], token=2))


@fraud("season_exceeded")
def next_season_too_early(world: World) -> None:
    world.grant(6, [1], range(6, 12), to="models.example", token=2)
    world.lines.append(world.expose(6, [7], "models.example", "T2", token=2))


@fraud("cap_exceeded")
def endpoints_beyond_the_cap(world: World) -> None:
    for run, items in ((7, range(6, 12)), (8, range(12, 18))):
        world.grant(run, [0, 1, 2], items, to=f"m{run}.example")
        world.lines.append(world.expose(run, items, f"m{run}.example", "T2"))


@fraud("tier_wrong")
def endpoint_as_our_own_weights(world: World) -> None:
    world.lines[index_of(world, "exposure", 2)]["tier"] = "T0"


@fraud("notice_unsigned")
def unsigned_notice(world: World) -> None:
    world.notices[0]["signer"] = "mallory"


@fraud("notice_backdated")
def backdated_notice(world: World) -> None:
    world.notice(item=2, moment=moment(2))


@fraud("notice_backdated", later=True)
def notice_from_before_the_last_visit(world: World) -> None:
    world.notice(item=2, moment=moment(4))


@fraud("notices_gone", later=True)
def removed_notice(world: World) -> None:
    world.notices.clear()


@fraud("notices_changed", later=True)
def exchanged_notice(world: World) -> None:
    world.notices[0]["reason"] = "ambiguous"


@fraud("notice_broken")
def notice_out_of_its_chain(world: World) -> None:
    world.notice(item=2, moment=moment(4))
    world.spoil = lambda answers, files: answers["sets/pair.json"]["notices"].pop(0)


@fraud("release_without_quorum")
def release_without_quorum(world: World) -> None:
    world.voters = ("grace",)


@spoiled("release_without_quorum")
def one_maintainer_votes_twice(answers: Answers, files: Files) -> None:
    told = answers["sets/old.json"]["release"]["statement"]
    told["votes"] = [told["votes"][0], told["votes"][0]]


@spoiled("release_differs")
def release_on_other_evidence(answers: Answers, files: Files) -> None:
    answers["sets/old.json"]["evidence"].update(moment=moment(7))


@spoiled("release_without_statement")
def release_without_statement(answers: Answers, files: Files) -> None:
    answers["sets/old.json"].update(release=None)


@fraud("opening_without_release")
def opening_without_release(world: World) -> None:
    world.states["old"] = "sealed"


@fraud("release_without_opening")
def release_without_opening(world: World) -> None:
    del world.lines[-1]


@fraud("release_gone", later=True)
def release_taken_back(world: World) -> None:
    world.states["old"] = "proposed"


@spoiled("answer_malformed")
def answer_of_another_form(answers: Answers, files: Files) -> None:
    answers["runs.json"].update(runs=[1, 2])


# --- several pairs over one set, and pairs that were withdrawn

TYPO = {"protocol": "demo-shot", "state": "withdrawn", "set_state": "sealed"}
WITHDRAWN = TYPO | {"withdrawn": {"reason": "wrong_protocol", "moment": moment(9)}}
"""A pair whose protocol does not exist, withdrawn before any run on it had a result."""


@fraud("pairs_differ")
def a_released_set_that_is_sealed_with_another_pair(world: World) -> None:
    world.more["second"] = {"state": "released"}


@fraud("pairs_differ")
def a_notice_that_one_pair_hides(world: World) -> None:
    world.more["second"] = {"notices": []}


@fraud("row_unknown")
def a_row_of_another_pair_s_run(world: World) -> None:
    """The board of the second pair was not looked at before."""
    world.more["second"] = {"rows": world.rows[:1]}


@fraud("score_differs")
def a_better_score_on_the_second_pair(world: World) -> None:
    world.runs[0]["pair"] = "second"
    row = deepcopy(world.rows.pop(0))
    row["private"].update(right=17, wrong=0, no_answer=0, accuracy=1.0)
    world.more["second"] = {"rows": [row]}


@fraud("terms_differ")
def a_wrong_protocol_that_nobody_withdrew(world: World) -> None:
    world.more["second"] = {"protocol": "demo-shot"}


@fraud("withdrawn_ranked")
def a_withdrawn_pair_with_a_ranked_run(world: World) -> None:
    world.runs[0]["pair"] = "second"
    world.rows.pop(0)
    world.more["second"] = WITHDRAWN


@fraud("withdrawn_ranked")
def a_withdrawn_pair_with_a_row(world: World) -> None:
    world.more["second"] = WITHDRAWN | {"rows": world.rows[:1]}


@fraud("withdrawn_ranked", later=True)
def a_pair_withdrawn_to_hide_its_rows(world: World) -> None:
    """Only who looked before knows that there were any."""
    for one in world.runs:
        one.update(state="cancelled", model=None, evaluator=None, queued_at=None, ended_at=None)
    world.rows.clear()
    told = {"state": "withdrawn", "set_state": "sealed", "withdrawn": WITHDRAWN["withdrawn"]}
    world.spoil = lambda answers, files: answers["sets/pair.json"].update(told)
