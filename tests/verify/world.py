"""A little honest world as a stranger sees it: two sealed sets, one log, six runs; and the key of everybody in it.

``World.files()`` gives the site's answers under the names that ``verify_log.py`` keeps them by. Everything is made
when it is asked for, and signed again with the true keys: whoever changes a world acts as an operator who has them.
"""

import hashlib
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import (
    Closing,
    CountsOpening,
    Drill,
    Enrolment,
    Exposure,
    Opening,
    canonical_json,
    pack_bits,
)
from evaluator.ledger.closings import counts_commitment
from evaluator.ledger.entries import GENESIS, entry_hash, origin, sign_entry
from evaluator.ledger.manifests import Identity, Manifest
from evaluator.ledger.notes import TreeHead, cosign, sign_head
from evaluator.ledger.notices import notice_hash, sign_notice
from evaluator.ledger.releases import SignedStatement, make_statement, statement_digest, vote
from evaluator.ledger.rules import Evidence, default_rule
from evaluator.ledger.signatures import public_hex
from evaluator.ledger.tree import Tree, leaf_hash, root

N, SMALL = 24, 4
KINDS: dict[str, Any] = {
    "exposure": Exposure,
    "closing": Closing,
    "enrolment": Enrolment,
    "opening": Opening,
    "drill": Drill,
}
COUNTS = ("right", "wrong", "no_answer", "truncated", "not_counted")
SAMPLES = ("samples", "samples_right")
MAINTAINERS, LOG = ("grace", "hedy", "radia"), "evaluator-1"
BLOCKS = [("exposed", 0, 6), ("exposed", 6, 6), ("local", 12, 6), ("spare", 18, 6)]


def key(name: str) -> Ed25519PrivateKey:
    """The same key for a name every time, so that the verifier's tables are made once."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def run_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def moment(minute: int) -> str:
    return f"2026-06-01T{minute // 60:02d}:{minute % 60:02d}:00.000000Z"


def party(name: str) -> dict[str, str]:
    return {"name": name, "public": public_hex(key(name))}


def manifest(
    name: str, n: int, blocks: list[tuple[str, int, int]], seasons: list[int]
) -> dict[str, Any]:
    """The fields of a sealed set's manifest; :func:`sealed` makes root and leaves."""
    return {
        "name": name,
        "n": n,
        "items": [f"{name} {index}" for index in range(n)],
        "created": moment(0),
        "seed_hash": "5e" * 32,
        "key_check": "c4" * 32,
        "blocks": [
            {"id": i, "stratum": s, "start": at, "n": size}
            for i, (s, at, size) in enumerate(blocks)
        ],
        "seasons": seasons,
        "cap": sum(blocks[one][2] for one in seasons),
        "cell": 1,
        "terms": {
            "protocol": "demo-0shot",
            "protocol_digest": "a1" * 32,
            "grader": "numeric-1",
            "grader_digest": "b2" * 32,
        },
        "rule": default_rule("2030-01-01T00:00:00Z").to_dict(),
        "maintainers": [party(one) for one in MAINTAINERS],
        "quorum": 2,
        "witnesses": [party("witness")],
    }


def sealed(fields: dict[str, Any]) -> Manifest:
    """The manifest with the leaves of its stand-ins for items."""
    leaves = [leaf_hash(one.encode()) for one in fields["items"]]
    facts = {name: value for name, value in fields.items() if name != "items"}
    return Manifest.from_dict(
        {"root": root(leaves).hex(), "leaves": [one.hex() for one in leaves]} | facts
    )


@dataclass
class World:
    """All that an operator holds. Lines lack what the log gives them: place, chain, signature."""

    signer: str = LOG
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    heads: list[int] = field(default_factory=lambda: [4])
    grants: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=lambda: {"pair": "sealed", "old": "released"})
    voters: tuple[str, ...] = MAINTAINERS[:2]
    lies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By run, what its tally is told to be instead."""
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further pairs over the private set, by name, and what is told of each otherwise; ``rows`` are its board's."""
    spoil: Any = None
    """Called with the finished answers: what an operator does who has no key for it."""

    def root(self, name: str) -> str:
        return sealed(self.sets[name]).root

    def log(self) -> list[Any]:
        """The whole log, signed and chained."""
        made: list[Any] = []
        for index, fields in enumerate(self.lines):
            chain = {
                "evaluator": LOG,
                "index": index,
                "previous": entry_hash(made[-1]) if made else GENESIS,
            }
            facts = _committed(_without(fields, "kind"))
            facts = {"moment": moment(index + 10), "root": self.root(fields["set"])} | facts
            made.append(sign_entry(key(self.signer), KINDS[fields["kind"]], **chain, **facts))
        return made

    def tallies(self) -> dict[str, list[dict[str, Any]]]:
        """What opens the last closing of each ranked run, by run."""
        ranked = {one["id"] for one in self.runs if one["state"] == "ranked"}
        found: dict[str, list[dict[str, Any]]] = {}
        for fields, line in sorted(
            zip(self.lines, self.log(), strict=True), key=lambda one: one[0].get("token", 0)
        ):
            if fields["kind"] == "closing" and fields["run"] in ranked:
                told = _opening(fields) | {"line": entry_hash(line)}
                found[fields["run"]] = [told | self.lies.get(fields["run"], {})]
        return found

    def head(self, size: int) -> dict[str, Any]:
        """The signed head over the first lines."""
        tree = Tree(bytes.fromhex(entry_hash(line)) for line in self.log()[:size])
        note = sign_head(
            TreeHead(origin(LOG), size, tree.root()), name=LOG, private_key=key(self.signer)
        )
        return {"size": size, "root": tree.root().hex(), "agrees": True, "note": note}

    def statement(self) -> SignedStatement:
        """The release of the old set, with the votes of those who voted."""
        facts = sealed(self.sets["old-private"])
        evidence = Evidence(set=facts.name, root=facts.root, moment=moment(5))
        signed = SignedStatement(
            statement=make_statement(facts, evidence, self.identity(), moment=moment(6))
        )
        for name in self.voters:
            signed = vote(signed, maintainer=name, private_key=key(name))
        return signed

    def identity(self) -> Identity:
        return Identity(name=LOG, host_pub="0d" * 32, report_pub=public_hex(key(self.signer)))

    def expose(
        self, run: int, items: range | list[int], to: str = "jail", tier: str = "T0", token: int = 1
    ) -> Any:
        """A line that says so, not yet in the log."""
        shown = {"items": pack_bits(items, N), "count": len(items), "recipient": to, "tier": tier}
        return {"kind": "exposure", "set": "private", "run": run_id(run), "token": token, **shown}

    def close(self, run: int, counts: tuple[int, int, int, int, int], token: int = 1) -> Any:
        """A line that says what a run came to: counts in the order of ``COUNTS``."""
        came = dict(zip(COUNTS, counts, strict=True)) | {
            "count": sum(counts),
            "outcomes": "0c" * 32,
        }
        return {"kind": "closing", "set": "private", "run": run_id(run), "token": token, **came}

    def grant(
        self,
        run: int,
        blocks: list[int],
        items: range | list[int],
        to: str = "jail",
        token: int = 1,
    ) -> None:
        """Grant it: on the private set these items of these blocks, and the whole public set."""
        private = {
            "name": "private",
            "digest": self.root("private"),
            "sealed": True,
            "blocks": blocks,
        }
        public = {
            "name": "public",
            "digest": "a" * 64,
            "sealed": False,
            "blocks": [],
            "items": pack_bits(range(7), 7),
        }
        sets = [public, private | {"items": pack_bits(items, N)}]
        self.grants.append({"run": run_id(run), "token": token, "recipient": to, "sets": sets})

    def run(
        self, number: int, state: str, tier: str, model: str | None = None, minute: int = 0
    ) -> None:
        """List a run; only a ranked one has a model."""
        told = {"id": run_id(number), "pair": "pair", "state": state, "tier": tier, "model": model}
        queued = moment(minute) if model else None
        flags = {"retracted": False, "post_release": False}
        self.runs.append(
            told
            | flags
            | {"evaluator": LOG if model else None, "queued_at": queued, "ended_at": queued}
        )

    def row(self, run: int, model: str, tier: str, counts: tuple[int, int, int, int]) -> None:
        """Put a run on the board."""
        private = dict(zip(COUNTS, counts, strict=False)) | {
            "n": sum(counts),
            "accuracy": counts[0] / sum(counts),
        }
        self.rows.append(
            {
                "run": run_id(run),
                "model": model,
                "tier": tier,
                "version": 1,
                "private": private,
                "public": {"n": 7},
            }
        )

    def notice(self, **changes: Any) -> None:
        """One more notice about the private set, signed when it is told."""
        facts = {
            "kind": "erratum",
            "item": 1,
            "reason": "wrong_gold",
            "moment": moment(3),
            "maintainer": "grace",
        }
        self.notices.append(facts | changes)

    def told_notices(self) -> list[dict[str, Any]]:
        previous, told = GENESIS, []
        for index, facts in enumerate(self.notices):
            about = {
                "set": "private",
                "root": self.root("private"),
                "index": index,
                "previous": previous,
            }
            notice = sign_notice(
                key(facts.get("signer", facts["maintainer"])), **about | _without(facts, "signer")
            )
            previous = notice_hash(notice)
            told.append({"hash": previous, "received": moment(9), "notice": notice.to_dict()})
        return told

    def told_pair(self, slug: str, name: str) -> dict[str, Any]:
        facts = sealed(self.sets[name])
        note = sign_head(facts.head(), name="grace", private_key=key("grace"))
        note = cosign(note, name="witness", private_key=key("witness"), moment=_seen())
        released = self.states[slug] == "released"
        signed = self.statement() if released else None
        evidence = (
            Evidence(set=facts.name, root=facts.root, moment=moment(5)).to_dict()
            if released
            else None
        )
        return {
            "slug": slug,
            "protocol": "demo-0shot",
            "grader": "numeric-1",
            "state": self.states[slug],
            "season": 0,
            "head": note,
            "public": {"name": "public", "digest": "a" * 64, "n": 7},
            "private": {"name": name, "digest": facts.root, "n": facts.n},
            "notices": self.told_notices() if name == "private" else [],
            "evidence": evidence,
            "release": {"statement": signed.to_dict(), "contents": {}} if signed else None,
        }

    def files(self) -> dict[str, bytes]:
        """What the site answers."""
        log, grants, tallies = self.log(), deepcopy(self.grants), self.tallies()
        for one in grants:
            version = 1 + len({"salt", "plan"} & one.keys())
            data = canonical_json({"kind": "grant", "version": version, **one})
            one["hash"] = leaf_hash(data).hex()
        public = public_hex(key(self.signer))
        listed = {"name": LOG, "report_pub": public, "lines": len(log), "flagged": False}
        answers: dict[str, Any] = {
            "evaluators.json": {"evaluators": [listed]},
            "sets.json": {"pairs": [{"slug": "pair"}, {"slug": "old"}]},
            f"ledger/{LOG}/heads.json": {
                "heads": [self.head(size) for size in (*self.heads, len(log))]
            },
            "runs.json": {
                "runs": [one | {"tallies": tallies.get(one["id"], [])} for one in self.runs]
            },
            "grants.json": {"grants": grants},
            "board/pair.json": {"rows": self.rows},
            "board/old.json": {"rows": []},
        }
        files = {
            f"ledger/{LOG}/lines.jsonl": b"".join(
                canonical_json(one.to_dict()) + b"\n" for one in log
            )
        }
        for slug, name in (("pair", "private"), ("old", "old-private")):
            answers[f"sets/{slug}.json"] = self.told_pair(slug, name)
            files[f"sets/{slug}.manifest.json"] = (
                canonical_json(sealed(self.sets[name]).to_dict()) + b"\n"
            )
        for slug, other in self.more.items():
            answers["sets.json"]["pairs"].append({"slug": slug})
            answers[f"sets/{slug}.json"] = (
                self.told_pair("pair", "private") | {"slug": slug} | _without(other, "rows")
            )
            answers[f"board/{slug}.json"] = {"rows": other.get("rows", [])}
            files[f"sets/{slug}.manifest.json"] = files["sets/pair.manifest.json"]
        if self.spoil is not None:
            self.spoil(answers, files)
        return files | {name: canonical_json(answer) + b"\n" for name, answer in answers.items()}


def _opening(fields: dict[str, Any]) -> dict[str, Any]:
    """What opens a closing, but for the line."""
    samples = {name: fields[name] for name in SAMPLES if name in fields}
    return {name: fields[name] for name in COUNTS[:4]} | samples | {"salt": "5a" * 32}


def _committed(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a line; of a closing, its counts behind their commitment."""
    if "right" not in fields:
        return fields
    told = CountsOpening.from_dict(_opening(fields) | {"line": GENESIS})
    return {"tally": counts_commitment(told)} | _without(fields, *COUNTS[:4], *SAMPLES)


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _seen() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 6, 1, tzinfo=UTC)


def honest() -> World:
    """Three models on the board, one that a newer run replaced, one run that failed, one that waits, one released set."""
    world = World()
    world.sets["private"] = manifest("private", N, BLOCKS, [0, 1])
    world.sets["old-private"] = manifest("old-private", SMALL, [("exposed", 0, SMALL)], [0])
    world.notice()
    form, endpoint, hosted = list(range(18)), "models.example", "hosted.example"
    world.grant(1, [0, 1, 2], form)
    world.grant(2, [0], range(6), to=endpoint)
    world.grant(3, [0, 1], range(12), to=hosted)
    world.grant(3, [0, 1], range(4, 12), to=hosted, token=2)
    world.grant(4, [0, 1, 2], form)
    world.grant(5, [0, 1, 2], form)
    world.grant(6, [0], range(6), to=endpoint)
    opening = {
        "kind": "opening",
        "set": "old-private",
        "statement": statement_digest(world.statement().statement),
    }
    world.lines = [
        {"kind": "enrolment", "set": "private", "host": "evaluator-2", "host_pub": "0e" * 32},
        world.expose(4, form),
        world.close(4, (9, 9, 0, 0, 0)),
        world.expose(1, form[:9]),
        world.expose(1, form[9:]),
        world.expose(3, range(6), hosted, "T1"),
        world.close(1, (15, 2, 1, 0, 0)),
        world.expose(3, range(4, 12), hosted, "T1", token=2),
        world.close(3, (8, 4, 0, 0, 0), token=2),
        world.expose(2, range(6), endpoint, "T2"),
        world.close(2, (4, 1, 0, 1, 0)),
        world.expose(5, form[:4]),
        opening,
    ]
    world.run(1, "ranked", "T0", "alpha", 50)
    world.run(2, "ranked", "T2", "beta", 51)
    world.run(3, "ranked", "T1", "gamma", 52)
    world.run(4, "ranked", "T0", "alpha", 40)
    world.run(5, "failed", "T0")
    world.run(6, "queued", "T2")
    world.row(1, "alpha", "T0", (14, 2, 1, 0))
    world.row(2, "beta", "T2", (4, 0, 0, 1))
    world.row(3, "gamma", "T1", (8, 3, 0, 0))
    return world
