"""A site over sealed outcomes that nobody may know, and an adversary who reads all of it and works items out.

The sealed set has 560 items in the usual cells; what each model makes of an item is drawn once, so that all its runs
answer alike: the worst that can be.
"""

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

import numpy as np
from django.utils import timezone

from evaluator.contract import Outcome, pack_bits, unpack_bits
from evaluator.ledger import notices as steps
from evaluator.ledger.entries import entry_hash
from evaluator.ledger.manifests import Block, Manifest
from evaluator.ledger.notices import Notice
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.actions import close_cohort, rebuild
from leaderboard.evidence import prior_exposure
from leaderboard.ledger.actions import list_endpoint, store_log
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import (
    Model,
    RescoredOutcomes,
    Rescoring,
    Run,
    RunOutcomes,
    seconds_from_now,
)
from leaderboard.submissions.states import RunState
from tests.leaderboard import ruled
from tests.leaderboard.conftest import FakeEvaluator

STRICT, OWN = "lm-eval-strict-3", "numeric-1"
SIZES = (
    ("exposed", 105),
    ("exposed", 105),
    ("exposed", 110),
    ("exposed", 110),
    ("local", 115),
    ("spare", 15),
)
N = sum(size for _, size in SIZES)
HOSTED, DECLARED = "hosted.example", "models.example"


def sealed(stages: Sequence[Sequence[int]] = ()) -> Manifest:
    """Blocks 0 to 3 are exposed, 3 is the season's and 2 the next one's, 4 local, 5 spare."""
    leaves = [leaf_hash(f"sealed {number}".encode()) for number in range(N)]
    blocks, start = [], 0
    for number, (stratum, size) in enumerate(SIZES):
        blocks.append(Block(id=number, stratum=stratum, start=start, n=size).to_dict())  # type: ignore[arg-type]
        start += size
    usual = {name: value for name, value in ruled.manifest().to_dict().items() if name != "cell"}
    facts = {
        "n": N,
        "root": root(leaves).hex(),
        "leaves": [leaf.hex() for leaf in leaves],
        "blocks": blocks,
    }
    seasons = {"seasons": [3, 2], "cap": SIZES[2][1] + SIZES[3][1]}
    staged = {"stages": [list(stage) for stage in stages]} if stages else {}
    made = Manifest.from_dict(usual | facts | seasons | staged)
    made.verify()
    return made


@dataclass
class Site:
    """What happens: each method is an event that an adversary can look at before and after."""

    pair: SetPair
    evaluator: FakeEvaluator
    user: Any
    hidden: dict[tuple[str, str], list[bool]] = field(default_factory=dict)

    def truth(self, model: str, grader: str = OWN) -> list[bool]:
        """Whether each item is right; the stricter grader takes a tenth of the right answers back."""
        rng = np.random.default_rng([*model.encode()])
        own = rng.random(N) < 0.5
        kept = own & (rng.random(N) < 0.9)
        found: list[bool] = (own if grader == OWN else kept).tolist()
        return self.hidden.setdefault((model, grader), found)

    def run(self, model: str, tier: str, *, host: str = "") -> None:
        """A new run of a model, graded and closed."""
        host = host or {"T0": "jail", "T1": HOSTED, "T2": DECLARED}[tier]
        run = self._submit(model, tier, host)
        rows = {row.item_set.sealed: row for row in run.outcomes.select_related("item_set")}
        right, form = self.truth(model), rows[True].open()
        rows[True].merge((at, Outcome.RIGHT if right[at] else Outcome.WRONG) for at in form)
        rows[False].merge((at, Outcome.RIGHT) for at in rows[False].open())
        for row in rows.values():
            row.save()
        known = Evaluator.objects.get(name=self.evaluator.name)
        done = {
            "state": RunState.GRADED,
            "ended_at": timezone.now(),
            "queued_at": timezone.now(),
            "evaluator": known,
        }
        Run.objects.filter(pk=run.pk).update(**done, protocol_digest=ruled.PROTOCOL_DIGEST)
        self._show(run, form, host)
        self._close(run, rows[True], form)
        close_cohort(pair=SetPair.objects.get(pk=self.pair.pk))

    def break_off(self, model: str, tier: str, host: str, *items: int) -> None:
        """A run is shown to an endpoint as far as these items, and no further."""
        run = self._submit(model, tier, host)
        over = {
            "state": RunState.FAILED,
            "ended_at": timezone.now(),
            "code": "lost",
            "fault": "ours",
        }
        Run.objects.filter(pk=run.pk).update(**over)
        self._show(run, list(items), host)

    def list(self, host: str) -> None:
        """Who was self-declared is listed from now on."""
        list_endpoint(url=f"https://{host}/v1", model="m", api="chat")

    def _submit(self, model: str, tier: str, host: str) -> Run:
        endpoint = {"url": f"https://{host}/v1", "served_model": "m", "api": "chat"}
        how = {"checkpoint": "honest"} if tier == "T0" else endpoint
        kind: Any = "checkpoint" if tier == "T0" else "endpoint"
        ask = Ask(pair="pair", model=model, kind=kind, open_weights=True, **how)
        run = actions.submit(
            user=self.user, key=f"{model}-{tier}-{Run.objects.count()}", ask=ask
        ).runs.get()
        assert run.tier == tier
        return run

    def _show(self, run: Run, items: Sequence[int], to: str) -> None:
        about = self._about(run) | {
            "items": pack_bits(items, N),
            "count": len(items),
            "recipient": to,
        }
        line = self.evaluator.expose(**about, tier=run.tier)
        store_log(evaluator=Evaluator.objects.get(name=self.evaluator.name), lines=[line])

    def _close(self, run: Run, row: RunOutcomes, form: Sequence[int]) -> None:
        packed = bytes(row.packed)
        line = self.evaluator.close([Outcome(packed[at]) for at in form], **self._about(run))
        told = [self.evaluator.tallies[entry_hash(line)]]
        store_log(
            evaluator=Evaluator.objects.get(name=self.evaluator.name), lines=[line], opened=told
        )

    def _about(self, run: Run) -> dict[str, str]:
        return {"run": str(run.pk), "set": self.pair.private.name, "root": self.pair.private.digest}

    def notice(self, **about: Any) -> None:
        """A maintainer posts one more notice."""
        sent = list(self.pair.private.signed_notices())
        sent.append(ruled.notice(self.pair.private, sent, **about))
        post_notices(data=[one.to_dict() for one in sent])
        rebuild(pair=SetPair.objects.get(pk=self.pair.pk))

    def errata(self, *items: int) -> None:
        """One after the other."""
        for item in items:
            self.notice(kind="erratum", reason="wrong_gold", item=item)

    def retire(self, block: int) -> None:
        """A block is spent."""
        self.notice(kind="retire_block", reason="spent", block=block)

    def switch(self, grader: str) -> None:
        """All runs are graded again, and the board is made by that grader."""
        for run in Run.objects.filter(rescorings=None, state=RunState.RANKED):
            self._again(run)
        by = ruled.make_maintainer("mary")
        actions.switch_grader(slug="pair", grader=grader, by=by)
        rebuild(pair=SetPair.objects.get(pk=self.pair.pk))

    def _again(self, run: Run) -> None:
        now = timezone.now()
        order = Rescoring.objects.create(
            run=run, evaluator=run.evaluator, grader=STRICT, grader_digest="d1" * 32, token=1, exposure_token=2, state="done",
            due=now, deadline=seconds_from_now(60), ended_at=now,
        )  # fmt: skip
        right = self.truth(run.submission.model.name, STRICT)
        for own in run.outcomes.select_related("item_set"):
            old = bytes(own.packed)
            new = [
                old[at] if not own.item_set.sealed or right[at] else Outcome.WRONG
                for at in range(own.size)
            ]
            again = ((at, Outcome(old[at]), Outcome(new[at])) for at in own.assigned())
            RescoredOutcomes.of(order, own, again).save()


def site(evaluator: FakeEvaluator, user: Any, stages: Sequence[Sequence[int]] = ()) -> Site:
    """Nothing has happened yet."""
    evaluator.register()
    list_endpoint(url=f"https://{HOSTED}/v1", model="m", api="chat")
    for name in ("Ant", "Bee"):
        ruled.make_model(name, name.lower())
    Model.objects.update(organisation=user.organisation())
    return Site(ruled.make_pair(sealed=sealed(stages)), evaluator, user)


@dataclass
class Adversary:
    """Everything that was ever read, as sums over known items: by model and grader, {items: how many are right}."""

    client: Any
    sums: dict[tuple[str, str], dict[frozenset[int], int]] = field(default_factory=dict)
    contrasts: set[str] = field(default_factory=set)
    leaks: set[str] = field(default_factory=set)
    _states: set[int] = field(default_factory=set)
    """Items that endpoints had been shown, whenever the adversary read the log."""

    def _json(self, path: str) -> Any:
        return json.loads(self.client.get(path).content)

    def look(self) -> None:
        """Read all that is public now."""
        told = self._json("/api/v1/sets/pair")["notices"]
        self._notices = [Notice.from_dict(one["notice"]) for one in told]
        self._manifest = Manifest.from_dict(self._json("/api/v1/sets/pair/manifest"))
        self._forms = {
            one["run"]: unpack_bits(granted["items"], N)
            for one in self._json("/api/v1/grants")["grants"]
            for granted in one["sets"]
            if granted["sealed"] and one["token"] == 1
        }
        runs = self._json("/api/v1/runs")["runs"]
        models = {one["id"]: one["model"] for one in runs if one["model"]}
        reveals = list(self._lines())
        self._shown = prior_exposure.reveals_by_run(reveals)
        self._states.add(reduce(or_, (reveal.items for reveal in reveals), 0))
        self._board()
        for run, model in models.items():
            self._run(run, model)
        for fact in self._json("/sets/pair/release/evidence.json")["runs"]:
            self._learn(
                fact["model"], OWN, self._counting(fact["run"], len(told)), fact["right"], fact["n"]
            )
        for one in runs:
            for told in one["tallies"]:
                n = sum(told[count] for count in ("right", "wrong", "no_answer", "truncated"))
                self._learn(one["model"], OWN, self._forms[one["id"]], told["right"], n)

    def _board(self) -> None:
        rows = self._json("/api/v1/board?pair=pair")["rows"]
        sheet = csv.DictReader(io.StringIO(self.client.get("/boards/pair.csv").content.decode()))
        assert [(one["private_right"], one["private_n"]) for one in sheet] == [
            (str(row["private"]["right"]), str(row["private"]["n"])) for row in rows
        ]
        for row in rows:
            items, private = self._counting(row["run"], row["version"]), row["private"]
            exposure = row["prior_exposure"]
            if exposure and exposure["contrast"]:
                assert exposure["run"] or not row["step"], "counts of a score that has steps"
                self._prior_exposure(row)
            if row["step"]:
                assert not (row["graders"] or row["leak"])
                continue
            self._learn(row["model"], row["grader"], items, private["right"], private["n"])
            for one in row["graders"]:
                self._learn(
                    row["model"], one["grader"], items, one["private_right"], one["private_n"]
                )
            if row["leak"]:
                self._leak(row, items)

    def _leak(self, row: dict[str, Any], items: frozenset[int]) -> None:
        """Exposed are the whole parts that endpoints had been shown at one time or another."""
        leak = row["leak"]
        local = items & self._manifest.indices(self._manifest.block_ids(("local",)))
        self._learn(row["model"], row["grader"], local, leak["local_right"], leak["local_n"])
        exposed = items & self._manifest.indices(self._manifest.block_ids(("exposed",)))
        counts = sum(1 << at for at in exposed)
        parts = prior_exposure.parts_of(self._manifest)
        sides = {
            prior_exposure.whole_parts(parts, counts, shown & counts) for shown in self._states
        }
        (over,) = (side for side in sides if side.bit_count() == leak["exposed_n"])
        part = frozenset(at for at in exposed if over >> at & 1)
        self._learn(row["model"], row["grader"], part, leak["exposed_right"], leak["exposed_n"])
        self.leaks.add(row["run"])

    def _prior_exposure(self, row: dict[str, Any]) -> None:
        """Either side is over whole parts, by what the provider had been shown before and at first.

        It is of the model's newest run that was shown anything, which need not be the ranked one.
        """
        exposed = row["prior_exposure"]["run"] or row["run"]
        items = self._counting(exposed, row["version"])
        told, counts = row["prior_exposure"]["contrast"], sum(1 << at for at in items)
        known = self._shown[UUID(exposed)]
        for side, shown in (("seen", known.before), ("fresh", known.fresh)):
            over = prior_exposure.whole_parts(
                prior_exposure.parts_of(self._manifest), counts, shown & counts
            )
            part = frozenset(at for at in items if over >> at & 1)
            self._learn(row["model"], row["grader"], part, told[f"{side}_right"], told[f"{side}_n"])
        self.contrasts.add(exposed)

    def _lines(self) -> Iterable[prior_exposure.Reveal]:
        for one in reversed(
            self._json("/api/v1/ledger?set=private&kind=exposure&limit=1000")["entries"]
        ):
            if one["recipient"] != "jail":
                items = int.from_bytes(base64.b64decode(one["items"]), "little")
                yield prior_exposure.Reveal(
                    UUID(one["run"]), one["recipient"], one["moment"], items
                )

    def _run(self, run: str, model: str) -> None:
        told = self._json(f"/api/v1/runs/{run}")
        for one in told["sets"]:
            if one["sealed"] and not one["step"]:
                self._learn(model, OWN, self._forms[run], one["right"], one["n"])
        for one in told["graders"]:
            if one["set"] == "private" and one["right"] is not None:
                self._learn(model, one["grader"], self._forms[run], one["right"], one["n"])

    def _counting(self, run: str, version: int) -> frozenset[int]:
        """What a number is over, by the published rule."""
        return self._forms[run] - steps.retired(self._manifest, self._notices[:version])

    def _learn(self, model: str, grader: str, items: frozenset[int], right: int, n: int) -> None:
        assert len(items) == n, "the adversary does not know what this number is over"
        assert self.sums.setdefault((model, grader), {}).setdefault(items, right) == right

    def pieces(self) -> Iterable[frozenset[int]]:
        """The items that no sum tells apart, piece by piece, for each model and grader."""
        for sums in self.sums.values():
            yield from classes(sums)

    def known(self) -> dict[tuple[str, str, int], bool]:
        """Every outcome that follows from the sums, by model, grader and item."""
        return {
            (*who, item): right
            for who, sums in self.sums.items()
            for item, right in solved(sums).items()
        }


def classes(sums: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """The items that the same sums are over."""
    found: dict[tuple[bool, ...], set[int]] = {}
    over = list(sums)
    for item in frozenset[int]().union(*over):
        found.setdefault(tuple(item in one for one in over), set()).add(item)
    return [frozenset(one) for one in found.values()]


def solved(sums: Mapping[frozenset[int], int]) -> dict[int, bool]:
    """The items whose outcome every solution of the sums agrees on.

    A class's own sum is known where its unit vector lies in the row space; of one item that is its outcome, of several
    that none or all of them are right.
    """
    parts = classes(sums)
    matrix = np.array([[float(part <= items) for part in parts] for items in sums])
    inverse = np.linalg.pinv(matrix)
    sure = np.isclose(np.diag(inverse @ matrix), 1.0)
    values = np.rint(inverse @ np.array(list(sums.values()), dtype=float)).astype(int)
    plain = (
        part
        for part, fixed, value in zip(parts, sure, values, strict=True)
        if fixed and value in (0, len(part))
    )
    worth = dict(zip(parts, values, strict=True))
    return {item: bool(worth[part]) for part in plain for item in part}
