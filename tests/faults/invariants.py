"""The fourteen invariants of the fault matrix: each one function, over facts, that returns what breaks it.

=====  =====================================================================================
I1     No item is lost: a graded run has one outcome that counts for each item of each set.
I2     None is graded twice: an outcome that counts is never written over, a report is taken
       once, and no endpoint is granted an item that has its outcome.
I3     The score is that of the undisturbed run, and so is the row of the board.
I4     Fencing: each outcome came from the attempt that held the run when it was written.
I5     Each outcome of a sealed item has an earlier exposure on a journal, by its attempt or by
       one before, whose stored answer it reports.
       No recipient but our own jail is shown an item outside the exposed blocks.
I6     What the endpoint received is on a journal, from before it received it.
I7     Nothing is stuck: leases and deadlines are within their bounds, each lost attempt counts.
I8     A failed run has an enumerated code, and its quota is returned where the fault is ours.
I9     The public ledger verifies, and each announced step of a run is recorded once.
I10    No sealed text is outside the evaluators: not in database, broker, logs or pages.
I11    Outbox: what is sent is marked, what waits is due, and no attempt shows an item twice.
I12    Pages show only runs that are ranked, each with all its items, at every moment.
I13    States change by the table only, tokens only grow, a released set stays released.
I14    Processes, files, sockets and connections are those of before.
=====  =====================================================================================

The reaper of the matrix is the recorder's end of lapsed leases, its disclosures are the evaluators' journals,
its audit log the public ledger. ``audit`` writes down the steps and outcomes that I2, I4, I5, I7 and I13 read.
Each SQL query selects what breaks the invariant, so that no row is the right answer.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.errors import EXPLANATIONS, Code, Fault
from leaderboard.benchmarks.states import STEPS as SET_STEPS
from leaderboard.submissions.states import ANNOUNCED, STEPS

Query = Callable[..., Sequence[tuple[Any, ...]]]
Findings = Iterator[str]
TOLERANCE = "0.5 seconds"
"""Two programs on one machine read its clock one after the other."""


@dataclass(frozen=True)
class Received:
    """Sealed item that an endpoint was asked, and when by the machine's clock."""

    item: int
    moment: str


@dataclass
class Facts:
    """All that is known of an installation after a fault. A check whose facts are None may not be asked for."""

    query: Query
    journal: Sequence[Mapping[str, Any]] = ()
    """Lines of all evaluators' journals on their own disks."""
    truth: Mapping[str, bytes] | None = None
    """Outcomes by set of a run that met no fault."""
    boards: tuple[bytes, Sequence[bytes]] | None = None
    """Row of the undisturbed run, and those of the runs that met the fault, without what names a run."""
    received: Sequence[Received] | None = None
    runs: frozenset[str] | None = None
    """Runs that met the fault; all where it is None."""
    verified: str | None = None
    """Findings of ``verify_log.py``; empty where all holds."""
    leaks: Sequence[str] | None = None
    """Places outside the evaluators where a text of a sealed item stands."""
    polled: Sequence[frozenset[tuple[str, int, int]]] | None = None
    """Boards that were read while the fault lasted: run, right and number of items of each row."""
    sent: Sequence[tuple[str, int]] = ()
    """Run and token of each job that went to the broker, where that was overheard."""
    left_over: Sequence[str] | None = None
    """Processes, files and connections that were not there before."""
    lease_seconds: float = 5.0
    redispatch_seconds: float = 20.0
    longest_wait_seconds: float = 300.0
    most_attempts: int = 5

    def exposed(self) -> Counter[tuple[str, int, str, int]]:
        """Return how often each (run, token, set, item) was revealed."""
        counts: Counter[tuple[str, int, str, int]] = Counter()
        for line in self.journal:
            if line["kind"] == "exposure":
                for item in items_of(line):
                    counts[line["run"], line["token"], line["set"], item] += 1
        return counts


def items_of(line: Mapping[str, Any]) -> frozenset[int]:
    """Return the items of an exposure."""
    raw = base64.b64decode(line["items"])
    return frozenset(item for item in range(8 * len(raw)) if raw[item // 8] >> (item % 8) & 1)


def needed(value: Any) -> Any:
    """Return a fact that a check cannot do without."""
    if value is None:
        raise ValueError("this check lacks its facts")
    return value


# --- what was graded


def i1_no_item_is_lost(facts: Facts) -> Findings:
    sql = """
        SELECT r.id, s.name, o.n, o.packed, o."right" + o.wrong + o.no_answer + o.truncated, o.not_counted
        FROM submissions_run r JOIN submissions_runoutcomes o ON o.run_id = r.id
        JOIN benchmarks_itemset s ON s.id = o.item_set_id
        WHERE r.state IN ('graded', 'ranked')"""
    for run, name, n, packed, counted, not_counted in facts.query(sql):
        closed = sum(1 <= value <= 4 for value in bytes(packed))
        if not (closed == counted == n) or not_counted or set(bytes(packed)) - {1, 2, 3, 4, 9}:
            yield f"{run} on {name}: {closed} outcomes, {counted} counted, of {n} items"
    sql = """
        SELECT DISTINCT ON (a.run, a.item_set, a.item) a.run, a.item, a.value, get_byte(o.packed, a.item)
        FROM audit.outcome a JOIN submissions_runoutcomes o ON o.run_id = a.run AND o.item_set_id = a.item_set
        ORDER BY a.run, a.item_set, a.item, a.id DESC"""
    for run, item, written, stored in facts.query(sql):
        if written != stored:
            yield f"{run}: the outcome of item {item} was written, and is gone"
    sql = """
        SELECT r.id FROM submissions_run r JOIN submissions_submission b ON b.id = r.submission_id
        JOIN benchmarks_setpair p ON p.id = b.pair_id
        LEFT JOIN submissions_runoutcomes o ON o.run_id = r.id
        GROUP BY r.id, p.public_id, p.private_id
        HAVING count(DISTINCT o.item_set_id) <> 2 OR count(*) <> 2"""
    for (run,) in facts.query(sql):
        yield f"{run} has not one row of outcomes for each set"


def i2_none_is_graded_twice(facts: Facts) -> Findings:
    sql = "SELECT run, item_set, item, old, value FROM audit.outcome WHERE old BETWEEN 1 AND 4"
    for row in facts.query(sql):
        yield f"an outcome was written over: {row}"
    sql = """
        SELECT run_id, token, worker, sequence FROM submissions_receipt
        GROUP BY run_id, token, worker, sequence HAVING count(*) > 1"""
    for row in facts.query(sql):
        yield f"a report was taken twice: {row}"
    sql = """
        SELECT g.run, g.token, o.item, asked->>'items' FROM ledger_grant g
        CROSS JOIN LATERAL jsonb_array_elements(g.sets) asked
        JOIN benchmarks_itemset s ON s.name = asked->>'name'
        JOIN audit.outcome o ON o.run = g.run AND o.item_set = s.id AND o.at < g.created
        WHERE g.recipient <> 'jail' AND o.value BETWEEN 1 AND 4"""
    for run, token, item, items in facts.query(sql):
        if item in items_of({"items": items}):
            yield f"{run} was granted item {item} again, at attempt {token}"


def i3_the_score_is_the_undisturbed_one(facts: Facts) -> Findings:
    truth = needed(facts.truth)
    sql = """
        SELECT r.id, s.name, o.packed FROM submissions_run r
        JOIN submissions_runoutcomes o ON o.run_id = r.id JOIN benchmarks_itemset s ON s.id = o.item_set_id"""
    for run, name, packed in facts.query(sql):
        if any(
            value in (1, 2, 3, 4) and value != true
            for value, true in zip(packed, truth[name], strict=True)
        ):
            yield f"{run} on {name} has other outcomes than the undisturbed run"
    undisturbed, disturbed = facts.boards or (b"", ())
    for row in disturbed:
        if row != undisturbed:
            yield f"a row of the board differs: {row.decode()} is not {undisturbed.decode()}"


def i4_outcomes_are_fenced(facts: Facts) -> Findings:
    sql = """
        SELECT run, item, token, from_token, worker = from_worker FROM audit.outcome
        WHERE (token, worker) IS DISTINCT FROM (from_token, from_worker)"""
    for run, item, token, sender, _ in facts.query(sql):
        yield f"{run}: the outcome of item {item} is of attempt {sender}, and {token} held the run"


# --- what was shown


def i5_exposures_are_complete(facts: Facts) -> Findings:
    shown: dict[tuple[str, str, int], list[tuple[int, str]]] = {}
    exposed_blocks = exposed_items(facts)
    for line in facts.journal:
        if line["kind"] != "exposure":
            continue
        for item in items_of(line):
            exposure = (line["token"], line["moment"])
            shown.setdefault((line["run"], line["set"], item), []).append(exposure)
        if line["tier"] != "T0" and not items_of(line) <= exposed_blocks[line["set"]]:
            yield f"{line['run']}: {line['recipient']} was shown an item outside the exposed blocks"
    sql = f"""
        SELECT o.run::text, o.from_token, s.name, o.item,
               to_char((o.at + interval '{TOLERANCE}') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        FROM audit.outcome o JOIN benchmarks_itemset s ON s.id = o.item_set WHERE s.sealed"""
    for run, token, name, item, until in facts.query(sql):
        exposures = shown.get((run, name, item), [])
        if not any(by <= token and moment <= until for by, moment in exposures):
            yield f"{run}: item {item} of {name} has an outcome of attempt {token}, and no exposure"


def exposed_items(facts: Facts) -> dict[str, frozenset[int]]:
    """Return by sealed set the items that endpoints may be shown."""
    found = {}
    sql = "SELECT name, manifest::text FROM benchmarks_itemset WHERE sealed"
    for name, manifest in facts.query(sql):
        blocks = [one for one in json.loads(manifest)["blocks"] if one["stratum"] == "exposed"]
        ranges = [range(one["start"], one["start"] + one["n"]) for one in blocks]
        found[name] = frozenset(item for items in ranges for item in items)
    return found


def i6_what_was_received_is_on_a_journal(facts: Facts) -> Findings:
    first: dict[int, str] = {}
    for line in facts.journal:
        if line["kind"] != "exposure" or (facts.runs is not None and line["run"] not in facts.runs):
            continue
        for item in items_of(line):
            first[item] = min(first.get(item, line["moment"]), line["moment"])
    for one in needed(facts.received):
        if first.get(one.item, "9") > one.moment:
            yield f"item {one.item} was received at {one.moment} and exposed at {first.get(one.item)}"


# --- what goes on


def i7_nothing_is_stuck(facts: Facts) -> Findings:
    late = f"interval '{3 * facts.lease_seconds} seconds'"
    soon = f"interval '{facts.lease_seconds + 1} seconds'"
    sql = f"""
        SELECT id, state, lease_expires, deadline FROM submissions_run
        WHERE lease_expires NOT BETWEEN clock_timestamp() - {late} AND clock_timestamp() + {soon}
           OR state IN ('queued', 'leased', 'running') AND deadline < clock_timestamp() - {late}"""
    for row in facts.query(sql):
        yield f"beyond its bound: {row}"
    for row in facts.query(
        "SELECT id, attempts FROM submissions_run WHERE attempts > %s", facts.most_attempts
    ):
        yield f"too many attempts: {row}"
    sql = """
        SELECT run, old, old_attempts, attempts FROM audit.step
        WHERE new = 'queued' AND old IN ('leased', 'running')
          AND (attempts < old_attempts OR lapsed AND attempts <> old_attempts + 1)"""
    for row in facts.query(sql):
        yield f"a lost attempt was not counted: {row}"


def i8_failures_have_codes_and_quotas_agree(facts: Facts) -> Findings:
    sql = """
        SELECT r.id, r.state, r.code, r.fault, r.same_as_id IS NOT NULL,
               EXISTS (SELECT FROM ledger_entry e WHERE e.run = r.id AND e.kind = 'exposure'),
               (SELECT count(*) FILTER (WHERE q.kind = 'charge') - count(*) FILTER (WHERE q.kind = 'refund')
                FROM submissions_quotaentry q WHERE q.run_id = r.id)
        FROM submissions_run r JOIN submissions_submission b ON b.id = r.submission_id
        JOIN benchmarks_setpair p ON p.id = b.pair_id JOIN benchmarks_itemset s ON s.id = p.private_id
        WHERE s.sealed AND NOT p.practice AND p.withdrawn_at IS NULL"""
    for run, state, code, fault, is_copy, shown, charged in facts.query(sql):
        expected = 1
        if state == "failed":
            known = EXPLANATIONS.get(Code(code)) if code in set(Code) else None
            if known is None or known.fault != fault:
                yield f"{run} failed with the code {code!r} of {fault!r}"
            expected = int(fault == Fault.THEIRS)
        elif state == "cancelled":
            expected = int(shown and not is_copy)
        if charged != expected:
            yield f"{run} is {state} {code}, and was charged {charged} times"


def i9_the_ledger_verifies(facts: Facts) -> Findings:
    if problem := needed(facts.verified):
        yield problem
    names = tuple(str(state) for state in ANNOUNCED)
    sql = """
        SELECT run, state, stepped, recorded FROM (
            SELECT run, new AS state, count(*) AS stepped FROM audit.step
            WHERE old <> new AND new = ANY(%s) GROUP BY run, new) steps
        FULL JOIN (
            SELECT run, state, count(*) AS recorded FROM audit.change GROUP BY run, state) changes
        USING (run, state) WHERE stepped IS DISTINCT FROM recorded"""
    for row in facts.query(sql, list(names)):
        yield f"steps and records of them differ: {row}"


def i10_nothing_sealed_is_outside(facts: Facts) -> Findings:
    yield from needed(facts.leaks)


def i11_the_outbox_is_sent_once(facts: Facts) -> Findings:
    sql = (
        "SELECT run_id, token FROM submissions_outbox WHERE sent_at IS NOT NULL AND due <= sent_at"
    )
    for row in facts.query(sql):
        yield f"sent, and due as before: {row}"
    sql = """
        SELECT o.run_id, o.token FROM submissions_outbox o
        JOIN submissions_receipt t ON t.run_id = o.run_id AND t.token = o.token
        JOIN submissions_run r ON r.id = o.run_id
        WHERE o.sent_at IS NULL AND o.due < o.created + interval '1 second'"""
    for row in sorted(set(facts.query(sql))):
        yield f"begun, and not marked as sent: {row}"
    wait = facts.redispatch_seconds + facts.longest_wait_seconds
    sql = f"""
        SELECT r.id, r.token, o.due FROM submissions_run r
        LEFT JOIN submissions_outbox o ON o.run_id = r.id AND o.token = r.token
        WHERE r.state = 'queued' AND r.waiting = '' AND (o.due IS NULL
           OR o.due NOT BETWEEN clock_timestamp() - interval '60 seconds'
                            AND clock_timestamp() + interval '{wait} seconds')"""
    for row in facts.query(sql):
        yield f"waits, and is not due: {row}"
    for job, times in Counter(facts.sent).items():
        if times > 1:
            yield f"sent {times} times: {job}"
    for key, times in facts.exposed().items():
        if times > 1:
            yield f"shown {times} times: {key}"


def i12_boards_are_of_ranked_runs(facts: Facts) -> Findings:
    sql = """
        SELECT n.id, w.body::json->>'run' FROM board_snapshotrow w JOIN board_snapshot n ON n.id = w.snapshot_id
        LEFT JOIN audit.step t ON t.run = (w.body::json->>'run')::uuid AND t.new = 'ranked' AND t.at <= n.created
        WHERE t.run IS NULL AND EXISTS (SELECT FROM audit.step a WHERE a.run = (w.body::json->>'run')::uuid)"""
    for row in facts.query(sql):
        yield f"a snapshot has a run that was not ranked: {row}"
    sql = """
        SELECT w.snapshot_id, w.body::json->>'run', s.name, o.n, o."right" FROM board_snapshotrow w
        JOIN submissions_run r ON r.id = (w.body::json->>'run')::uuid
        JOIN submissions_submission b ON b.id = r.submission_id JOIN benchmarks_setpair p ON p.id = b.pair_id
        JOIN submissions_runoutcomes o ON o.run_id = r.id JOIN benchmarks_itemset s ON s.id = o.item_set_id
        CROSS JOIN LATERAL (SELECT w.body::json->(CASE WHEN s.id = p.public_id THEN 'public' ELSE 'private' END)
                            AS score) x
        WHERE (w.body::json->>'version')::int = 0 AND ((x.score->>'n')::int <> o.n
           OR r.tier IN ('T0', 'T1') AND (x.score->>'right')::int <> o."right")"""
    for row in facts.query(sql):
        yield f"a row of a snapshot has other counts than its run: {row}"
    sql = "SELECT snapshot_id, body::json->>'run', body::json->'private' FROM board_snapshotrow"
    allowed: dict[int, set[tuple[str, int, int]]] = {}
    for (snapshot,) in facts.query("SELECT id FROM board_snapshot"):
        allowed[snapshot] = set()
    for snapshot, run, score in facts.query(sql):
        allowed[snapshot].add((run, score["right"], score["n"]))
    bodies = {frozenset(), *map(frozenset, allowed.values())}
    for body in set(facts.polled or ()) - bodies:
        yield f"a board was read that is no snapshot: {sorted(body)}"


def i13_states_follow_the_table(facts: Facts) -> Findings:
    edges = {(str(old), str(new)) for old, new in STEPS}
    # A database that was restored goes on after the newest token that a log names.
    on_record = set(facts.query("SELECT DISTINCT run, (line->>'token')::int FROM ledger_entry"))
    for run, old, new, old_token, token in facts.query(
        "SELECT run, old, new, old_token, token FROM audit.step"
    ):
        if old != new and (old, new) not in edges:
            yield f"{run} went from {old} to {new}"
        requeued = new == "queued"
        follows = token == old_token + requeued or (
            requeued and token - 1 > old_token and (run, token - 1) in on_record
        )
        if not follows and (old != new or token != old_token):
            yield f"{run} went from token {old_token} to {token} with {old} to {new}"
    of_sets = {(str(old), str(new)) for old, new in SET_STEPS}
    for name, old, new in facts.query("SELECT item_set, old, new FROM audit.set_step"):
        if (old, new) not in of_sets:
            yield f"the set {name} went from {old} to {new}"


def i14_resources_are_returned(facts: Facts) -> Findings:
    yield from needed(facts.left_over)


INVARIANTS: Mapping[str, Callable[[Facts], Findings]] = {
    "I1": i1_no_item_is_lost,
    "I2": i2_none_is_graded_twice,
    "I3": i3_the_score_is_the_undisturbed_one,
    "I4": i4_outcomes_are_fenced,
    "I5": i5_exposures_are_complete,
    "I6": i6_what_was_received_is_on_a_journal,
    "I7": i7_nothing_is_stuck,
    "I8": i8_failures_have_codes_and_quotas_agree,
    "I9": i9_the_ledger_verifies,
    "I10": i10_nothing_sealed_is_outside,
    "I11": i11_the_outbox_is_sent_once,
    "I12": i12_boards_are_of_ranked_runs,
    "I13": i13_states_follow_the_table,
    "I14": i14_resources_are_returned,
}
OF_THE_DATABASE = ("I1", "I2", "I4", "I7", "I8", "I11", "I12", "I13")
"""Those that the database, the audit and the journals decide, at any moment between two transactions."""


def broken(facts: Facts, *ids: str) -> dict[str, list[str]]:
    """Return what breaks each of these invariants, all by default; those that hold are left out."""
    found = {name: list(INVARIANTS[name](facts)) for name in ids or INVARIANTS}
    return {name: problems for name, problems in found.items() if problems}
