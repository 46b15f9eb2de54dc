#!/usr/bin/env python3
"""Watch the public ledger of a Holdfast site from outside, without trusting its operator.

    python3 verify_log.py --site https://HOST --state FOLDER [--also FOLDER] [--json]
    python3 verify_log.py --files FOLDER --state FOLDER [--also FOLDER] [--json]

One file, Python 3.8 or newer, standard library only. It reads the site's public API (or answers
that were saved, --files), holds the answers against each other, and holds them against the memory
of earlier visits in --state. The first visit is trusted; each later visit must continue it. --also
names the memory of another observer, who must have been shown the same history.

Steps, in this order; each is a method of ``Visit`` and adds findings of the table ``FINDINGS``:

1. ``check_log``       Each evaluator's log: its lines are canonical JSON, chained and signed
                       (Ed25519, RFC 8032); its signed heads (C2SP tlog-checkpoint) are over the
                       lines (RFC 6962).
2. ``check_set``       Each sealed set: the manifest fits itself, its leaves and its signed and
                       cosigned head (C2SP tlog-cosignature); notices are signed and chained.
3. ``check_grant``     Each grant, the site's own word on what an attempt may be shown: its hash.
                       ``check_plan`` for the plan of an adaptive run: its digest, one for all
                       grants and exposures of the run, and as many items as its looks have.
4. ``check_attempts``  Each run on each set: every exposure is granted and allowed for its tier, and
                       nothing follows the closing of an attempt.
5. ``check_release``   Each sealed set: it is opened and released as a quorum of maintainers signed.
6. ``check_board``     Each board: every complete run has its row, every row has the counts to which
                       closings on the logs commit. ``check_withdrawn`` for a pair without a board.
7. ``compare``         Nothing that was published earlier is changed or gone.

Exit status 0: all holds. 2: something does not; each finding is a code and a sentence. 3: the site
or the memory cannot be read, and nothing is concluded. Only a visit without findings is remembered:
memory.json is the memory, files/ holds the answers. Answers with findings go to refused/.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import http.client
import itertools
import json
import re
import sys
import urllib.request
from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

STATUS_HOLDS = 0
STATUS_FINDINGS = 2  # of every finding in the tables below
STATUS_NOT_READ = 3

FINDINGS = {
    # The whole visit
    "answer_malformed": "an answer of the site cannot be read: {problem}",
    # 1. Logs of evaluators
    "evaluator_flagged": "the site itself reports that {log} contradicts itself",
    "lines_missing": "{log} has lines that the site does not serve",
    "line_malformed": "{at} is not canonical JSON, or counts other items than it lists",
    "chain_broken": "{at} does not follow the line before it",
    "line_unsigned": "{at} is not signed by its evaluator",
    "head_unsigned": "the head of {log} at {size} lines is not one that it signed",
    "log_forked": "{log} signed two different heads at {size} lines",
    "head_without_lines": "{log} signed {size} lines; not all of them are served (yet?)",
    "head_differs": "the head of {log} at {size} lines is over other lines",
    # 2. Sealed sets
    "manifest_differs": "{slug}: the registered set is not that of the manifest",
    "leaves_differ": "{name}: the root is not that of the leaves",
    "manifest_invalid": "{name}: kind, blocks, seasons, stages, cap or signers do not fit together",
    "terms_differ": "{slug}: protocol or grader is not what the manifest commits to",
    "set_twice": "{name} has two manifests",
    "pairs_differ": "{slug}: another pair over the same sealed set has other facts about it",
    "set_head_invalid": "{name}: its head lacks a valid signature of a party that it names",
    "notice_unsigned": "{at} is not signed by a maintainer",
    "notice_broken": "{at} does not follow the notice before it",
    "notice_backdated": "{at} is dated before something that was published earlier",
    # 3. Grants
    "grant_hash_wrong": "{grant} does not have the hash that is published with it",
    "grant_twice": "{grant} is published in two versions",
    "plan_hash_wrong": "{run}: its plan does not have the digest that is published with it",
    "plan_differs": "{at} names another plan than the one of its run",
    "plan_exceeded": "{run}: other numbers of items than the looks of its plan were granted",
    # 4. Exposures and closings
    "set_unknown": "{name}: a log speaks of this set; no pair has it",
    "root_differs": "{at} is about another set of the name {name}",
    "attempt_closed": "{at} belongs to an attempt that was closed before",
    "closing_unexposed": "{at} counts more items than its evaluator exposed",
    "exposure_not_granted": "{at}: no grant was published for this attempt",
    "exposure_beyond_grant": "{at}: other items, or another recipient, than were granted",
    "tier_wrong": "{at}: {recipient} cannot be of tier {tier}",
    "spare_item_exposed": "{at}: an item that no recipient may see before the release",
    "local_item_exposed": "{at}: an item for weights run without a network only",
    "season_exceeded": "{at}: an item outside the seasons open to self-declared endpoints",
    "cap_exceeded": "{name}: self-declared endpoints saw more items than the manifest allows",
    # 5. Releases
    "release_without_statement": "{name} is released without a statement",
    "release_differs": "{name}: the release statement is about another release",
    "release_without_quorum": "{name}: too few maintainers signed the release statement",
    "release_without_opening": "{name}: no log has the opening under the release statement",
    "opening_without_release": "{name}: an evaluator opened it, and it is not released",
    # 6. Boards
    "withdrawn_ranked": "{slug} is withdrawn, and had a result",
    "row_twice": "{slug}: a model or a run has two rows",
    "run_withheld": "{run} has no row, and nothing that is published explains why",
    "tally_differs": "{run}: counts that a closing committed to are not published",
    "row_unknown": "the row of {run} belongs to no run that may have one",
    "row_stale": "the row of {run} ignores notices that are more than a day old",
    "form_differs": "the row of {run} is over other items than its grant selects",
    "row_without_closing": "the row of {run} has no closing on any log",
    "score_differs": "the row of {run} has other counts than the logs",
    "form_not_exposed": "the row of {run} counts items that no log says it was shown",
    "tier_differs": "the row of {run} has another tier than the logs",
}

# 7. Facts that are remembered from visit to visit. Logs and notices may grow, no fact may change.
# Facts of the second table may be gone, because they go with their set or their row.
LASTING = {
    "key": "the public key of an evaluator",
    "log": "the lines of an evaluator's log",
    "head": "a signed head of a log",
    "set": "the manifest of a sealed set",
    "pair": "the two sets, the protocol and the grader of a pair",
    "withdrawn": "the withdrawal of a pair",
    "notices": "the notices on a sealed set",
    "grant": "the grant of an attempt",
    "run": "a run and its pair",
    "plan": "the plan of an adaptive run",
    "release": "the release statement of a set",
}
PASSING = {
    "rule": "the release rule of a sealed set",
    "note": "the signed head of a sealed set",
    "score": "the counts of a row",
}
FINDINGS.update({f"{kind}_gone": what + " ({key}) disappeared" for kind, what in LASTING.items()})
for _kind, _what in (*LASTING.items(), *PASSING.items()):
    FINDINGS[f"{_kind}_changed"] = _what + " ({key}) changed since an earlier visit"

# Blocks of a sealed set that a recipient of each tier may be shown. "exposed" holds "season".
BLOCKS_OF_TIER = {"T0": ("exposed", "local"), "T1": ("exposed",), "T2": ("season",)}
JAIL = "jail"  # recipient of tier T0: weights that the evaluator runs itself, without a network

OUTCOMES = ("right", "wrong", "no_answer", "truncated")
KINDS = {"number", "expression", "choice", "program", "tests"}  # of items
# Smallest number of items that anything is published over, unless a manifest names another.
USUAL_CELL = 100
DAY = 86400  # seconds
LONGEST_ANSWER = 1 << 30  # bytes
GENESIS = "0" * 64  # stands for the hash of the line before the first
MALFORMED = (  # raised where an answer does not have the form that the API documents
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


# --- Ed25519, verification only (RFC 8032, sections 5.1.3 and 5.1.7)

P = 2**255 - 19  # order of the field
Q = 2**252 + 27742317777372353535851937790883648493  # order of the base point
D = -121665 * pow(121666, P - 2, P) % P  # constant of the curve
BASE = (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")  # the base point, encoded
NEUTRAL = (0, 1, 1, 0)  # the neutral element in extended coordinates (X, Y, Z, T)

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]  # a JSON object, whose fields are checked as they are read
    Filed = list[tuple[str, Json]]  # lines, each with the log that it stands on
    Point = tuple[int, int, int, int]


def add(p: Point, q: Point) -> Point:
    """Return the sum of two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e = b - a
    f = d - c
    g = d + c
    h = b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def decode_point(raw: bytes) -> Point | None:
    """Return the point that 32 bytes encode, or None (RFC 8032, section 5.1.3)."""
    sign, y = divmod(int.from_bytes(raw, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    is_square = x * x % P == square
    if y >= P or not is_square:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


@functools.lru_cache(maxsize=256)
def multiples(raw: bytes) -> list[list[Point]]:
    """Return, for i = 0 … 63, the multiples 0 … 15 of 16**i times the encoded point.

    Empty where the bytes encode no point, and for a point of small order: as a public key it would
    accept one signature for every message.
    """
    point = decode_point(raw)
    if point is None:
        return []
    table = []
    for _ in range(64):
        row = list(itertools.accumulate([point] * 15, add, initial=NEUTRAL))
        table.append(row)
        point = add(row[15], point)
    eightfold = table[0][8]
    return table if eightfold[0] % P else []


def signed(public: str, message: bytes, signature: str) -> bool:
    """Return True where the key signed the message; key and signature are lower-case hexadecimal.

    RFC 8032, section 5.1.7, without the cofactor: the encoding of S·B − k·A is compared with R.
    """
    key = bytes.fromhex(public)
    r = bytes.fromhex(signature[:64])
    s = int.from_bytes(bytes.fromhex(signature[64:]), "little")
    if not re.fullmatch("[0-9a-f]{64}", public):
        return False
    if not re.fullmatch("[0-9a-f]{128}", signature):
        return False
    if s >= Q or not multiples(key):
        return False
    challenge = hashlib.sha512(r + key + message).digest()
    k = int.from_bytes(challenge, "little") % Q
    minus_k = 8 * Q - k  # 8·Q times any point of the curve is the neutral element
    total = NEUTRAL
    for of_base, of_key in zip(multiples(BASE), multiples(key)):
        total = add(total, of_base[s & 15])
        total = add(total, of_key[minus_k & 15])
        s >>= 4
        minus_k >>= 4
    inverse = pow(total[2], P - 2, P)
    x = total[0] * inverse % P
    y = total[1] * inverse % P
    encoded = y | (x & 1) << 255
    return encoded.to_bytes(32, "little") == r


# --- Canonical JSON, hashes, trees and notes


def canonical(value: object) -> bytes:
    """Return JSON in its canonical form: keys sorted, no spaces, UTF-8, no NaN."""
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode()


def without(fields: Json, name: str) -> bytes:
    """Return the canonical JSON of an object without one of its fields."""
    others = dict(fields)
    others.pop(name, None)
    return canonical(others)


def leaf_hash(data: bytes) -> str:
    """Return the hash of a leaf, in hexadecimal (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + data).hexdigest()


def node_hash(right: bytes, left: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots(leaves: list[str], sizes: set[int]) -> dict[int, str]:
    """Return the root of the tree over the first leaves, by size (RFC 6962, section 2.1)."""
    complete: list[bytes] = []  # roots of the complete subtrees so far, largest first
    found = {0: hashlib.sha256(b"").hexdigest()}
    for count, leaf in enumerate(leaves, 1):
        complete.append(bytes.fromhex(leaf))
        pairs = (count & -count).bit_length() - 1
        for _ in range(pairs):
            right = complete.pop()
            complete.append(node_hash(right, complete.pop()))
        if count in sizes:
            found[count] = functools.reduce(node_hash, reversed(complete)).hex()
    return found


class Head(NamedTuple):
    """Text of a tree head: C2SP tlog-checkpoint. ``root`` is hexadecimal."""

    origin: str
    size: int
    root: str
    extensions: list[str]


ED25519 = 1  # kind of a signature by a log or a maintainer (C2SP signed-note)
COSIGNATURE = 4  # kind of a signature by a witness, with its time (C2SP tlog-cosignature)
SIGNATURE_LINE = re.compile("\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})\n")


def read_note(text: str, keys: dict[str, tuple[str, int]]) -> tuple[Head, dict[str, bool]]:
    """Read a C2SP signed note; return its head, and which of the ``keys`` signed it.

    ``keys`` maps a name to its public key and kind. The result holds the names that stand on the
    note; False where any signature under that name does not verify. Other names are passed over.
    """
    body, _, below = text.rpartition("\n\n")
    origin, size, root, *extensions = body.split("\n")
    verified: dict[str, bool] = {}
    for name, data in SIGNATURE_LINE.findall(below):
        raw = base64.b64decode(data, validate=True)
        public, kind = keys.get(name, ("", 0))
        if public:
            good = signature_on_note(name, public, kind, raw, body + "\n")
            verified[name] = good and verified.get(name, True)
    root_hex = base64.b64decode(root, validate=True).hex()
    return Head(origin, int(size), root_hex, extensions), verified


def signature_on_note(name: str, public: str, kind: int, raw: bytes, body: str) -> bool:
    """Return True where the key made this signature: four bytes of key id, then the signature.

    A cosignature has its time between the two, in eight bytes, and signs it before the body.
    """
    named_key = name.encode() + b"\n" + bytes([kind]) + bytes.fromhex(public)
    key_id = hashlib.sha256(named_key).digest()[:4]
    if raw[:4] != key_id:
        return False
    message = body.encode()
    signature = raw[4:]
    if kind == COSIGNATURE:
        seconds = int.from_bytes(raw[4:12], "big")
        message = b"cosignature/v1\ntime %d\n" % seconds + message
        signature = raw[12:]
    return signed(public, message, signature.hex())


def bitmap(text: str) -> int:
    """Return the integer whose bit i stands for item i."""
    return int.from_bytes(base64.b64decode(text, validate=True), "little")


def ones(bits: int) -> int:
    """Return the number of items in a bitmap."""
    return bin(bits).count("1")


def seconds_of(moment: str) -> float:
    """Return the seconds since 1970 of a moment in UTC, with or without a fraction."""
    whole, _, fraction = moment[:-1].partition(".")
    text = f"{whole}.{fraction.ljust(6, '0')}+00:00"
    return datetime.fromisoformat(text).timestamp()


# --- Reading the site


def fetch(get: Callable[[str], bytes]) -> dict[str, bytes]:
    """Return the answers of a visit by file name; ``get`` returns the bytes at a path of the API.

    An answer that may lag behind another is asked for after it: lines after the heads over them.
    """
    files = {"evaluators.json": get("evaluators"), "sets.json": get("sets")}
    logs = [listed["name"] for listed in json.loads(files["evaluators.json"])["evaluators"]]
    slugs = [listed["slug"] for listed in json.loads(files["sets.json"])["pairs"]]
    for log in logs:
        files[f"ledger/{log}/heads.json"] = fetch_pages(get, f"ledger/{log}/heads", "heads")
    files["runs.json"] = fetch_pages(get, "runs", "runs")
    for slug in slugs:
        files[f"board/{slug}.json"] = get(f"board?pair={slug}")
    for log in logs:
        files[f"ledger/{log}/lines.jsonl"] = fetch_lines(get, log)
    files["grants.json"] = fetch_pages(get, "grants", "grants")
    for slug in slugs:
        files[f"sets/{slug}.manifest.json"] = get(f"sets/{slug}/manifest")
    for slug in slugs:
        files[f"sets/{slug}.json"] = get(f"sets/{slug}")
    return files


def fetch_pages(get: Callable[[str], bytes], path: str, field: str) -> bytes:
    """Return all pages of a list as one answer."""
    rows: list[Json] = []
    while True:
        after = f"&after={rows[-1]['id']}" if rows else ""
        page = json.loads(get(f"{path}?limit=1000{after}"))[field]
        if not page:
            return canonical({field: rows}) + b"\n"
        rows += page


def fetch_lines(get: Callable[[str], bytes], log: str) -> bytes:
    """Return all lines of a log."""
    lines = b""
    while True:
        start = lines.count(b"\n")
        page = get(f"ledger/{log}/lines?start={start}&limit=5000")
        if not page:
            return lines
        lines += page


# --- Sealed sets and grants


class SealedSet:
    """Facts of one sealed set, from its manifest, and what the checks learn about it.

    Sets of items are integers: bit i stands for item i.
    """

    def __init__(self, manifest: Json, pair: Json, digest: str) -> None:
        self.manifest = manifest
        self.pair = pair  # by the first pair over this set
        self.digest = digest
        self.name = manifest["name"]
        self.cell = manifest.get("cell", USUAL_CELL)
        self.maintainers = {party["name"]: party["public"] for party in manifest["maintainers"]}
        self.blocks: dict[int, int] = {}
        strata: Counter[str] = Counter()  # bitmap of items by stratum
        for block in manifest["blocks"]:
            first_items = (1 << block["n"]) - 1
            items = first_items << block["start"]
            self.blocks[block["id"]] = items
            strata[block["stratum"]] += items  # blocks do not overlap
        self.local = strata["local"]
        self.spare = strata["spare"]
        seasons = [self.blocks[block] for block in manifest["seasons"]]
        self.season = sum(seasons[: pair["season"] + 1])
        staged = []
        for stage in manifest.get("stages", [exposed_blocks(manifest)]):
            items = sum(self.blocks[block] for block in stage)
            staged.append(items & ~sum(seasons))
        # Of each part of the set, the items that are retired and the items that wait to be.
        self.parts = dict.fromkeys((*staged, self.local, self.spare, *seasons), (0, 0))
        self.retired = [0]  # items that no longer count, after the first 0, 1, 2 … notices
        self.shown_to_t2 = 0

    def named_by(self, notice: Json) -> int:
        """Return the items that a notice is about: one item, a block, or the whole set."""
        if notice["item"] is not None:
            return 1 << int(notice["item"])
        everything = (1 << int(self.manifest["n"])) - 1
        return self.blocks.get(notice["block"], everything)

    def retire(self, named: int) -> None:
        """Retire the items that a notice names, in steps from which no outcome can be worked out.

        In each part of the set, named items wait until they are all that is left of it, or a cell
        of items that leaves at least another cell. Then they count no longer.
        """
        for part, (retired, waited) in self.parts.items():
            left = part & ~retired
            waiting = waited | (named & left)
            remaining = left & ~waiting
            both_are_cells = min(ones(waiting), ones(remaining)) >= self.cell
            if waiting == left or both_are_cells:
                self.parts[part] = (retired | waiting, 0)
            else:
                self.parts[part] = (retired, waiting)
        self.retired.append(sum(retired for retired, _ in self.parts.values()))


def unique(values: list[Any]) -> bool:
    """Return True where no value stands twice in the list."""
    return len(set(values)) == len(values)


def blocks_cover(manifest: Json) -> bool:
    """Return True where blocks of different ids cover the items 0 … n-1 in order, without a gap."""
    end = 0
    for block in manifest["blocks"]:
        if block["start"] != end:
            return False
        end += block["n"]
    ids = [block["id"] for block in manifest["blocks"]]
    return bool(end == manifest["n"]) and unique(ids)


def seasons_fit(manifest: Json) -> bool:
    """Return True where the seasons are different exposed blocks, and the cap is their items."""
    seasons = manifest["seasons"]
    if not set(seasons) <= set(exposed_blocks(manifest)):
        return False
    sizes = {block["id"]: block["n"] for block in manifest["blocks"]}
    items = sum(sizes[season] for season in seasons)
    return unique(seasons) and bool(manifest["cap"] == items)


def exposed_blocks(manifest: Json) -> list[int]:
    """Return the ids of the exposed blocks."""
    return [block["id"] for block in manifest["blocks"] if block["stratum"] == "exposed"]


def stages_fit(manifest: Json) -> bool:
    """Return True where the stages, if there are any, divide the exposed blocks among them."""
    stages = manifest.get("stages", [exposed_blocks(manifest)])
    staged = [block for stage in stages for block in stage]
    return sorted(staged) == sorted(exposed_blocks(manifest))


def kind_fits(manifest: Json) -> bool:
    """Return True where the manifest names a known kind of items, from version 4 on."""
    known = KINDS if manifest.get("version", 2) >= 4 else {None}
    return manifest.get("kind") in known


def signers_fit(manifest: Json) -> bool:
    """Return True where parties have different names and keys, and enough are maintainers."""
    parties = manifest["maintainers"] + manifest["witnesses"]
    names = [party["name"] for party in parties]
    keys = [party["public"] for party in parties]
    if not (unique(names) and unique(keys)):
        return False
    maintainers = len(manifest["maintainers"])
    least = 1 if maintainers else 0
    return bool(least <= manifest["quorum"] <= maintainers)


class Grant(NamedTuple):
    """Recipient of an attempt (None before the first exposure), and items by set name and root."""

    recipient: str | None
    items: dict[tuple[str, str], int]


class Visit:
    """The answers of one visit, and what the checks find in them.

    ``known`` holds the facts of earlier visits, ``visited`` the time of the last of them; times are
    in seconds since 1970. ``log`` is the name of an evaluator, ``line`` an object of its log.
    """

    def __init__(
        self, files: dict[str, bytes], known: Json, now: float, visited: float = 0
    ) -> None:
        self.files = files
        self.known = known
        self.now = now
        self.visited = visited
        self.findings: list[tuple[str, str]] = []
        self.facts: Json = {}  # of this visit, to be remembered
        self.counts: Counter[str] = Counter()  # of what was verified
        self.keys: dict[str, str] = {}  # public key by log
        # Lines, each with its log: exposures and closings by run and set, openings by set.
        self.lines: dict[tuple[str, str], Filed] = defaultdict(list)
        self.openings: dict[str, Filed] = defaultdict(list)
        self.sets: dict[str, SealedSet] = {}
        self.pairs: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.grants: dict[tuple[str, int], Grant] = {}
        self.plans: dict[str, Json] = {}  # published plans of adaptive runs
        self.selections: dict[tuple[str, str], int] = {}  # items a run is scored on, by run and set

    def check(self) -> None:
        """Run the steps 1 to 6, each after those that it rests on."""
        for listed in self.read("evaluators.json")["evaluators"]:
            self.check_log(listed["name"], listed)
        for listed in self.read("sets.json")["pairs"]:
            self.check_set(listed["slug"])
        self.check_grants()
        for run, name in sorted(self.lines):
            self.check_attempts(run, name)
        for sealed in self.sets.values():
            within_cap = ones(sealed.shown_to_t2) <= sealed.manifest["cap"]
            self.need(within_cap, "cap_exceeded", name=sealed.name)
            self.check_release(sealed)
        for slug, pair in self.pairs.items():
            sealed = self.sets[pair["private"]["name"]]
            rows = self.read(f"board/{slug}.json")["rows"]
            if pair.get("withdrawn"):
                self.check_withdrawn(slug, {row["run"] for row in rows})
            else:
                self.check_board(slug, sealed, rows)

    def need(self, holds: object, code: str, **details: object) -> bool:
        """Add the finding unless it holds; return True where it does."""
        if holds:
            return True
        sentence = FINDINGS[code].format(**details)
        printable = "".join(c if c.isprintable() else "?" for c in sentence)
        self.findings.append((code, printable))
        return False

    def read(self, name: str) -> Any:
        """Return the value of an answer."""
        return json.loads(self.files[name])

    # --- 1. Logs of evaluators

    def check_log(self, log: str, listed: Json) -> None:
        """Check an evaluator's log: all lines are served and sound, and heads are over them."""
        public = listed["report_pub"]
        self.keys[log] = public
        self.facts[f"key {log}"] = public
        self.need(not listed["flagged"], "evaluator_flagged", log=log)
        *lines, rest = self.files[f"ledger/{log}/lines.jsonl"].split(b"\n")
        whole = not rest and len(lines) >= listed["lines"]
        self.need(whole, "lines_missing", log=log)
        hashes = self.check_lines(log, lines)
        heads = self.read(f"ledger/{log}/heads.json")["heads"]
        root_at = roots(hashes, {head["size"] for head in heads})
        for head in heads:
            self.check_head(log, head, root_at)
        self.counts[f"{log}: lines, signed and chained"] = len(lines)
        self.counts[f"{log}: heads over them"] = len(heads)

    def check_lines(self, log: str, lines: list[bytes]) -> list[str]:
        """Check each line; return all leaf hashes. The memory saves verifying a signature twice."""
        same_key = self.known.get(f"key {log}") == self.keys[log]
        verified = self.known.get(f"log {log}", []) if same_key else []
        sound = self.facts.setdefault(f"log {log}", [])  # ends before the first line that is not
        hashes: list[str] = []
        previous = GENESIS
        for index, raw in enumerate(lines):
            hashed = leaf_hash(raw)
            known = verified[index : index + 1] == [hashed]
            good = self.check_line(log, index, previous, raw, known)
            if good and len(sound) == index:
                sound.append(hashed)
            hashes.append(hashed)
            previous = hashed
            if len(hashes) % 5000 == 0:
                print(f"{log}: {len(hashes)} of {len(lines)} lines", file=sys.stderr)
        return hashes

    def check_line(self, log: str, index: int, previous: str, raw: bytes, known: bool) -> bool:
        """Check that a line is canonical, follows the one before and is signed; file it."""
        line = json.loads(raw)
        at = f"line {index} of {log}"
        exact = canonical(line) == raw
        if exact and line["kind"] == "exposure":
            exact = ones(bitmap(line["items"])) == line["count"]
        good = self.need(exact, "line_malformed", at=at)
        place = (line["evaluator"], line["index"], line["previous"])
        good &= self.need(place == (log, index, previous), "chain_broken", at=at)
        message = b"holdfast/log/v2\n" + without(line, "signature")
        genuine = known or signed(self.keys[log], message, line["signature"])
        good &= self.need(genuine, "line_unsigned", at=at)
        self.file_line(log, line)
        return good

    def file_line(self, log: str, line: Json) -> None:
        """Sort a line under its run and set, or an opening under its set."""
        if line["kind"] in ("enrolment", "drill"):
            return
        name = line["set"]
        if "run" in line:
            self.lines[line["run"], name].append((log, line))
        else:
            self.openings[name].append((log, line))

    def check_head(self, log: str, head: Json, root_at: dict[int, str]) -> None:
        """Check that a head is signed, the only one of its size, and over the lines served."""
        size = head["size"]
        root = head["root"]
        key = (self.keys[log], ED25519)
        stated, verified = read_note(head["note"], {log: key})
        expected = Head(f"holdfast/log/{log}", size, root, [])
        good = stated == expected and verified == {log: True}
        self.need(good, "head_unsigned", log=log, size=size)
        first = self.facts.setdefault(f"head {log} {size}", root)
        self.need(first == root, "log_forked", log=log, size=size)
        self.need(size in root_at, "head_without_lines", log=log, size=size)
        self.need(root_at.get(size, root) == root, "head_differs", log=log, size=size)

    # --- 2. Sealed sets

    def check_set(self, slug: str) -> None:
        """Check the sealed set of a pair, and that pairs over one set publish the same of it."""
        pair = self.read(f"sets/{slug}.json")
        pair.setdefault("set_state", pair["state"])  # they differ where the pair is withdrawn
        raw = self.files[f"sets/{slug}.manifest.json"]
        manifest = json.loads(raw)
        self.check_manifest(slug, pair, manifest, raw)
        sealed = SealedSet(manifest, pair, leaf_hash(raw[:-1]))
        self.pairs[slug] = pair
        shared = self.sets.setdefault(sealed.name, sealed)
        self.need(shared.digest == sealed.digest, "set_twice", name=sealed.name)
        self.check_shared_set(slug, shared.pair, pair)
        self.remember_set(slug, sealed)
        self.check_set_head(sealed)
        if shared is sealed:
            self.check_notices(sealed)

    def check_manifest(self, slug: str, pair: Json, manifest: Json, raw: bytes) -> None:
        """Check a manifest against the registered set, its leaves, itself, and the pair's terms."""
        name = manifest["name"]
        root = manifest["root"]
        n = manifest["n"]
        registered = pair["private"]["digest"] == root
        exact = registered and raw == canonical(manifest) + b"\n"
        self.need(exact, "manifest_differs", slug=slug)
        leaves = manifest["leaves"]
        over_leaves = len(leaves) == n and roots(leaves, {n})[n] == root
        self.need(over_leaves, "leaves_differ", name=name)
        rules = (blocks_cover, seasons_fit, stages_fit, signers_fit, kind_fits)
        fits = all(rule(manifest) for rule in rules)
        self.need(fits, "manifest_invalid", name=name)
        terms = manifest["terms"] or pair
        as_committed = all(terms[field] == pair[field] for field in ("protocol", "grader"))
        self.need(as_committed or pair.get("withdrawn"), "terms_differ", slug=slug)

    def check_shared_set(self, slug: str, first: Json, pair: Json) -> None:
        """Check that a pair publishes the same of its sealed set as the first pair over it."""
        fields = ("head", "notices", "season", "evidence", "release")
        alike = all(first[field] == pair[field] for field in fields)
        same_state = first["set_state"] == pair["set_state"]
        self.need(alike and same_state, "pairs_differ", slug=slug)

    def remember_set(self, slug: str, sealed: SealedSet) -> None:
        """Add the facts of a set and a pair that must not change; a withdrawal is one of them."""
        pair = self.pairs[slug]
        public = pair["public"]
        asked = [sealed.name, public["name"], public["digest"], public["n"]]
        asked += [pair["protocol"], pair["grader"]]
        if pair.get("adaptive"):
            asked.append(pair["adaptive"])
        facts = {
            f"rule {sealed.name}": sealed.manifest["rule"],
            f"note {sealed.name}": pair["head"],
            f"pair {slug}": asked,
        }
        if pair.get("withdrawn"):
            facts[f"withdrawn {slug}"] = pair["withdrawn"]
        self.facts.update({key: leaf_hash(canonical(fact)) for key, fact in facts.items()})
        self.facts[f"set {sealed.name}"] = sealed.digest

    def check_set_head(self, sealed: SealedSet) -> None:
        """Check the signed head: a maintainer signed it, and every party that stands on it did.

        Its origin, size and root are the set's; its one extension line is the manifest's leaf hash.
        A set without maintainers has no signed head, and its manifest says so.
        """
        if not sealed.maintainers:
            return
        manifest = sealed.manifest
        keys = {one["name"]: (one["public"], COSIGNATURE) for one in manifest["witnesses"]}
        keys.update({name: (public, ED25519) for name, public in sealed.maintainers.items()})
        head, verified = read_note(sealed.pair["head"], keys)
        origin = f"holdfast/set/{sealed.name}"
        expected = Head(origin, manifest["n"], manifest["root"], [sealed.digest])
        by_maintainer = set(verified) & set(sealed.maintainers)
        all_verified = by_maintainer and all(verified.values())
        self.need(head == expected and all_verified, "set_head_invalid", name=sealed.name)

    def check_notices(self, sealed: SealedSet) -> None:
        """Check that notices are signed, chained and not backdated; retire the items they name."""
        name = sealed.name
        root = sealed.manifest["root"]
        hashes = self.facts.setdefault(f"notices {name}", [])
        known = len(self.known.get(f"notices {name}", []))
        previous = GENESIS
        last = seconds_of(sealed.manifest["created"])
        for place, published in enumerate(sealed.pair["notices"]):
            notice = published["notice"]
            at = f"notice {place} on {name}"
            moment = seconds_of(notice["moment"])
            hashed = leaf_hash(canonical(notice))
            message = b"holdfast/notice/v1\n" + without(notice, "signature")
            public = sealed.maintainers.get(notice["maintainer"], "")
            genuine = signed(public, message, notice["signature"])
            self.need(genuine, "notice_unsigned", at=at)
            about = (notice["set"], notice["root"], notice["index"], notice["previous"])
            follows = about == (name, root, place, previous)
            self.need(follows and published["hash"] == hashed, "notice_broken", at=at)
            in_time = place < known or moment > self.visited - 7 * DAY
            self.need(moment >= last and in_time, "notice_backdated", at=at)
            sealed.retire(sealed.named_by(notice))
            hashes.append(hashed)
            previous = hashed
            last = moment

    # --- 3. Grants

    def check_grants(self) -> None:
        """Read the runs and check every grant."""
        self.runs = {run["id"]: run for run in self.read("runs.json")["runs"]}
        for run, facts in self.runs.items():
            self.facts[f"run {run}"] = facts["pair"]
            if facts.get("plan"):
                self.check_plan(run, facts["plan"])
        for grant in self.read("grants.json")["grants"]:
            self.check_grant(grant)
        for run in self.plans:
            self.check_granted_looks(run)
        self.counts["grants, by their hashes"] = len(self.grants)
        self.counts["runs listed"] = len(self.runs)

    def check_grant(self, grant: Json) -> None:
        """Check that a grant has its hash. Before its first exposure only the hash is published."""
        run = grant["run"]
        token = grant["token"]
        key = f"grant {run} {token}"
        later: Json = {field: grant[field] for field in ("salt", "plan") if field in grant}
        fields = {"kind": "grant", "version": 1 + len(later), **later}
        for field in ("run", "token", "recipient", "sets"):
            fields[field] = grant[field]
        hashed = grant["hash"]
        if grant["recipient"] is not None:
            hashed = leaf_hash(canonical(fields))
        self.need(hashed == grant["hash"], "grant_hash_wrong", grant=key)
        first = self.facts.setdefault(key, hashed)
        self.need(first == hashed, "grant_twice", grant=key)
        self.check_named_plan(key, grant)
        items = {}
        for part in grant["sets"]:
            items[part["name"], part["digest"]] = bitmap(part["items"])
            sealed = self.sets.get(part["name"])
            if sealed is not None:
                self.select_items(run, sealed, part)
        self.grants[run, token] = Grant(grant["recipient"], items)

    def select_items(self, run: str, sealed: SealedSet, part: Json) -> None:
        """Note the items that a run is scored on: all items of the blocks of its first grant.

        An item that a notice has retired is left out, unless it was granted before the notice. Of
        an adaptive run it is all that was granted.
        """
        key = (run, sealed.name)
        granted = bitmap(part["items"])
        if run in self.plans:
            self.selections[key] = self.selections.get(key, 0) | granted
            return
        blocks = part["blocks"] or sealed.blocks
        of_blocks = sum(sealed.blocks[block] for block in blocks)
        self.selections.setdefault(key, of_blocks & (~sealed.retired[-1] | granted))

    def check_named_plan(self, at: str, line: Json) -> None:
        """Check that a grant or an exposure names the plan of its run, if that has one.

        What is granted and shown to our own jail, to grade answers again, follows no plan.
        """
        plan = self.plans.get(line["run"])
        digest = ""
        if plan is not None and line["recipient"] != JAIL:
            digest = plan["digest"]
        self.need(line.get("plan", "") == digest, "plan_differs", at=at)

    def check_plan(self, run: str, published: Json) -> None:
        """Check that a published plan has its digest, and is about this run and a known set."""
        plan = published["plan"]
        message = b"holdfast/plan/v1\n" + canonical(plan)
        good = hashlib.sha256(message).hexdigest() == published["digest"]
        sealed = self.sets.get(plan["set"])
        of_set = sealed is not None and plan["root"] == sealed.manifest["root"]
        of_run = plan["run"] == run
        self.need(good and of_set and of_run, "plan_hash_wrong", run=run)
        self.plans[run] = published
        self.facts[f"plan {run}"] = published["digest"]
        self.counts["plans of adaptive runs"] += 1

    def check_granted_looks(self, run: str) -> None:
        """Check that the items granted to an adaptive run grew from look to look of its plan."""
        plan = self.plans[run]["plan"]
        key = (plan["set"], plan["root"])
        granted = 0
        for (of_run, _), grant in sorted(self.grants.items(), key=lambda entry: entry[0]):
            if of_run != run:
                continue
            granted |= grant.items.get(key, 0)
            good = ones(granted) in (0, *plan["looks"])
            self.need(good, "plan_exceeded", run=run)

    # --- 4. Exposures and closings

    def check_attempts(self, run: str, name: str) -> None:
        """Check all lines about a run on a set, in the order of their logs."""
        sealed = self.sets.get(name)
        if sealed is None:
            self.need(False, "set_unknown", name=name)
            return
        exposed: Counter[str] = Counter()  # bitmap of items by log
        closed: set[tuple[str, int]] = set()
        for log, line in self.lines[run, name]:
            at = f"line {line['index']} of {log}"
            attempt = (log, line["token"])
            same_root = line["root"] == sealed.manifest["root"]
            self.need(same_root, "root_differs", at=at, name=name)
            self.need(attempt not in closed, "attempt_closed", at=at)
            if line["kind"] == "exposure":
                self.check_exposure(at, log, line, sealed)
                exposed[log] |= bitmap(line["items"])
            else:
                shown = ones(exposed[log])
                self.need(line["count"] <= shown, "closing_unexposed", at=at)
                closed.add(attempt)
            self.counts[f"{line['kind']}s, by grant and order"] += 1

    def check_exposure(self, at: str, log: str, line: Json, sealed: SealedSet) -> None:
        """Check that an exposure was granted: to this recipient, and at least these items."""
        items = bitmap(line["items"])
        tier = line["tier"]
        recipient = line["recipient"]
        grant = self.grants.get((line["run"], line["token"]))
        if grant is None:
            self.need(False, "exposure_not_granted", at=at)
        else:
            granted = grant.items.get((line["set"], line["root"]), 0)
            beyond = items & ~granted
            within = grant.recipient == recipient and not beyond
            self.need(within, "exposure_beyond_grant", at=at)
        self.check_named_plan(at, line)
        fits_recipient = (tier == "T0") == (recipient == JAIL)
        known_tier = tier in BLOCKS_OF_TIER and fits_recipient
        self.need(known_tier, "tier_wrong", at=at, recipient=recipient, tier=tier)
        openings = [opening["index"] for of, opening in self.openings[sealed.name] if of == log]
        released = any(index < line["index"] for index in openings)
        self.check_blocks(at, tier, items, sealed, released)

    def check_blocks(
        self, at: str, tier: str, items: int, sealed: SealedSet, released: bool
    ) -> None:
        """Check that the items lie in blocks that the tier may be shown."""
        allowed = BLOCKS_OF_TIER.get(tier, ("exposed",))
        spare = items & sealed.spare
        local = items & sealed.local
        out_of_season = items & ~sealed.season
        self.need(released or not spare, "spare_item_exposed", at=at)
        self.need("local" in allowed or not local, "local_item_exposed", at=at)
        self.need("exposed" in allowed or not out_of_season, "season_exceeded", at=at)
        if tier == "T2":
            sealed.shown_to_t2 |= items

    # --- 5. Releases

    def check_release(self, sealed: SealedSet) -> None:
        """Check the release of a set, and that each opening on a log is under its statement.

        While a release is proposed, an opening of the last seven days may wait for it.
        """
        name = sealed.name
        state = sealed.pair["set_state"]
        release = sealed.pair["release"]
        published = None
        if state == "released" and self.need(release, "release_without_statement", name=name):
            published = self.check_statement(sealed, release["statement"])
        week_ago = self.now - 7 * DAY
        for _, line in self.openings[name]:
            waits = state == "proposed" and seconds_of(line["moment"]) > week_ago
            good = waits or line["statement"] == published
            self.need(good, "opening_without_release", name=name)

    def check_statement(self, sealed: SealedSet, release: Json) -> str:
        """Check a statement's subject, its signatures and its opening; return its hash."""
        name = sealed.name
        votes = release["votes"]
        statement = release["statement"]
        opener = statement["evaluator"]
        message = b"holdfast/release/v1\n" + canonical(statement)
        hashed = leaf_hash(message)
        self.facts[f"release {name}"] = hashed
        manifest = sealed.manifest
        about = {
            "set": name,
            "root": manifest["root"],
            "manifest": sealed.digest,
            "rule": hashlib.sha256(canonical(manifest["rule"])).hexdigest(),
            "evidence": hashlib.sha256(canonical(sealed.pair["evidence"])).hexdigest(),
        }
        same = all(statement[field] == value for field, value in about.items())
        self.need(same, "release_differs", name=name)
        signers = set()
        for vote in votes:
            public = sealed.maintainers.get(vote["maintainer"], "")
            if signed(public, message, vote["signature"]):
                signers.add(vote["maintainer"])
        enough = len(signers) == len(votes) >= manifest["quorum"] > 0
        self.need(enough, "release_without_quorum", name=name)
        openings = [(log, line["statement"]) for log, line in self.openings[name]]
        opened = (opener["name"], hashed) in openings
        same_key = self.keys.get(opener["name"]) == opener["report_pub"]
        self.need(opened and same_key, "release_without_opening", name=name)
        return hashed

    # --- 6. Boards

    def check_withdrawn(self, slug: str, on_board: set[str]) -> None:
        """Check that a withdrawn pair has no result, and had none at any earlier visit."""
        ranked = set(on_board)
        for run, facts in self.runs.items():
            if facts["pair"] == slug and facts["state"] == "ranked":
                ranked.add(run)
        for key in self.known:
            kind, _, rest = key.partition(" ")
            run = rest.split(" ")[0]
            if kind == "score" and self.known.get(f"run {run}") == slug:
                ranked.add(run)
        self.need(not ranked, "withdrawn_ranked", slug=slug)
        self.counts["pairs that were withdrawn, without a result"] += not ranked

    def check_board(self, slug: str, sealed: SealedSet, rows: list[Json]) -> None:
        """Check the rows of a pair's board, and that no run is missing on it."""
        by_run = {row["run"]: row for row in rows}
        models = {row["model"] for row in rows}
        self.need(len(rows) == len(by_run) == len(models), "row_twice", slug=slug)
        on_log = {run for run, name in self.lines if name == sealed.name}
        for run in sorted(on_log | set(self.runs) | set(by_run)):
            result = Result(self.lines.get((run, sealed.name), []))
            if run in by_run:
                self.check_row(slug, sealed, by_run[run], result)
            elif run not in self.runs:
                self.check_ended(run, sealed, rows, result)
            elif self.runs[run]["pair"] == slug:
                self.check_ranked(run, sealed, rows)
                self.check_ended(run, sealed, rows, result)

    def check_ranked(self, run: str, sealed: SealedSet, rows: list[Json]) -> None:
        """Check that a ranked run without a row gave way to a newer one, or has no item left."""
        facts = self.runs[run]
        if facts["state"] != "ranked" or facts["retracted"] or facts["post_release"]:
            return
        on_board = ""
        for row in rows:
            if row["model"] == facts["model"]:
                on_board = self.runs.get(row["run"], facts)["queued_at"]
        replaced = on_board is None or on_board > facts["queued_at"]
        selected = self.selections.get((run, sealed.name), 0)
        counting = selected & ~sealed.retired[-1]
        self.need(replaced or not counting, "run_withheld", run=run)

    def check_ended(self, run: str, sealed: SealedSet, rows: list[Json], result: Result) -> None:
        """Check that a run that is complete on a log has ended, or waits for a close or a day."""
        facts = self.runs.get(run)
        items = ones(self.selections.get((run, sealed.name), 0))
        counted = result.count - result.not_counted
        if not result.closings or counted < items:
            return
        if facts and facts["state"] in ("ranked", "failed", "cancelled"):
            return
        moment = max(closing["moment"] for closing in result.closings)
        closes = [(row.get("judged") or {}).get("closed", "") for row in rows]
        recent = seconds_of(moment) >= self.now - DAY
        graded = facts is not None and facts["state"] == "graded"
        waits = graded and moment[:10] >= max(closes, default="")
        self.need(recent or waits, "run_withheld", run=run)

    def check_row(self, slug: str, sealed: SealedSet, row: Json, result: Result) -> None:
        """Check one row of a board: its run, its version, its items, its counts and its tier."""
        run = row["run"]
        private = row["private"]
        selected = self.selections.get((run, sealed.name), 0)
        total = self.check_tallies(run, sealed, result)
        self.check_run_of_row(slug, row)
        self.check_version(slug, sealed, row)
        retired = sealed.retired[: row["version"] + 1][-1]
        n = ones(selected & ~retired)
        same_public = row["public"]["n"] == self.pairs[slug]["public"]["n"]
        self.need(0 < n == private["n"] and same_public, "form_differs", run=run)
        self.check_counts(run, row, result, total)
        unseen = selected
        for line in result.exposures:
            unseen &= ~bitmap(line["items"])
        self.need(not unseen, "form_not_exposed", run=run)
        tiers = {line["tier"] for line in result.exposures}
        self.need(tiers <= {row["tier"]}, "tier_differs", run=run)
        score = [private[outcome] for outcome in (*OUTCOMES, "n")]
        if private.get("samples", 1) > 1:
            score.append(private["samples_right"])
        self.facts[f"score {run} {row['version']}"] = " ".join(map(str, score))
        self.counts["rows of the board, by their logs"] += 1

    def check_tallies(self, run: str, sealed: SealedSet, result: Result) -> Counter[str]:
        """Check the counts to which each last closing commits; return their sums, and the unopened.

        The commitment is a salted hash. A run with a closing over less than a cell may keep it; a
        self-declared endpoint (T2) keeps all, since its score is published in steps.
        """
        total = Counter(dict.fromkeys((*OUTCOMES, "unopened"), 0))
        tallies = self.runs.get(run, {}).get("tallies", [])
        published = {tally["line"]: tally for tally in tallies}
        sizes = [closing["count"] - closing["not_counted"] for closing in result.closings]
        small = any(size < sealed.cell for size in sizes)
        in_steps = not published and any(line["tier"] == "T2" for line in result.exposures)
        for closing, size in zip(result.closings, sizes):
            tally = published.get(leaf_hash(canonical(closing)))
            if tally is None:
                self.need(small or in_steps, "tally_differs", run=run)
                total["unopened"] += size
                continue
            message = b"holdfast/tally/v1\n" + without(tally, "line")
            opened = hashlib.sha256(message).hexdigest() == closing["tally"]
            adds_up = opened and sum(tally[outcome] for outcome in OUTCOMES) == size
            self.need(adds_up, "tally_differs", run=run)
            total.update({outcome: tally[outcome] for outcome in OUTCOMES})
            total["samples_right"] += tally.get("samples_right", 0)
            total["samples"] = max(total["samples"], tally.get("samples", 1))
        return total

    def check_run_of_row(self, slug: str, row: Json) -> None:
        """Check that the row's run is listed, of this pair and model, and may be ranked."""
        facts = self.runs.get(row["run"])
        good = False
        if facts is not None:
            barred = facts["retracted"] or facts["post_release"]
            ended = facts["state"] in ("failed", "cancelled")
            same_model = facts["model"] in (None, row["model"])
            same_pair = facts["pair"] == slug
            good = same_pair and same_model and not (ended or barred)
        self.need(good, "row_unknown", run=row["run"])

    def check_version(self, slug: str, sealed: SealedSet, row: Json) -> None:
        """Check that the row is counted by existing notices, all but those of the last day."""
        version = row["version"]
        good = version < len(sealed.retired)
        day_ago = self.now - DAY
        for left_out in self.pairs[slug]["notices"][version:]:
            notice = left_out["notice"]
            good = good and seconds_of(notice["moment"]) > day_ago
        self.need(good, "row_stale", run=row["run"])

    def check_counts(self, run: str, board: Json, result: Result, total: Counter[str]) -> None:
        """Check the private counts of a row of the board against the counts on the logs.

        The accuracy of an adaptive run is not that of its counts: it is linked to all items.

        Items that the logs count and the row does not (retired since, or not counted) may have any
        outcome; so may items of closings that are not opened. A count between the bounds is right.
        A score that is a mean over several samples is compared with the right ones on the logs.
        """
        row = board["private"]
        missing = result.count - row["n"]
        linked = bool(board.get("adaptive")) and run in self.plans
        samples = row.get("samples", 1)
        right = row["right"] if samples == 1 else row["samples_right"]
        off_by = abs(row["accuracy"] * row["n"] * samples - right)
        exact = linked or off_by < 1e-6
        good = exact and missing >= 0
        good = good and self.is_mean_of(samples, right, missing, total)
        good = good and sum(row[outcome] for outcome in OUTCOMES) == row["n"]
        for outcome in OUTCOMES:
            least = total[outcome] - missing
            most = total[outcome] + total["unopened"]
            good = good and least <= row[outcome] <= most
        if self.need(result.count, "row_without_closing", run=run):
            self.need(good, "score_differs", run=run)

    @staticmethod
    def is_mean_of(samples: int, right: int, missing: int, total: Counter[str]) -> bool:
        """Return true if the logs allow so many right ones of several samples of each item."""
        if samples == 1:
            return True
        least = total["samples_right"] - samples * missing
        most = total["samples_right"] + samples * total["unopened"]
        return samples == total["samples"] and least <= right <= most

    # --- 7. Memory

    def compare(self, known: Json) -> None:
        """Check that no fact of an earlier visit is changed or gone; lists of ``known`` grow."""
        for key, old in known.items():
            kind = key.split(" ")[0]
            new = self.facts.get(key)
            beginning = new
            is_shorter = False
            if isinstance(old, list) and new is not None:
                beginning = new[: len(old)]
                is_shorter = new != old and new == old[: len(new)]
            if new is None or is_shorter:
                self.need(kind in PASSING, f"{kind}_gone", key=key)
            elif self.need(beginning == old, f"{kind}_changed", key=key):
                known[key] = new


class Result:
    """Last closing of each log about a run on a set, and the exposures that led to it."""

    def __init__(self, lines: Filed) -> None:
        ordered = sorted(lines, key=lambda entry: entry[1]["token"])
        last = {log: line for log, line in ordered if line["kind"] == "closing"}
        self.closings = list(last.values())
        self.count: int = sum(closing["count"] for closing in self.closings)
        self.not_counted: int = sum(closing["not_counted"] for closing in self.closings)
        # After its last closing, a run is shown to the jail again only to grade its answers again.
        end = max((closing["token"] for closing in self.closings), default=float("inf"))
        self.exposures = []
        for _, line in ordered:
            regrades = line["token"] > end and line["recipient"] == JAIL
            if line["kind"] == "exposure" and not regrades:
                self.exposures.append(line)


# --- The command


def read_memory(folder: str) -> Json:
    """Return the memory in a folder; an empty one before the first visit."""
    path = Path(folder, "memory.json")
    if not path.exists():
        return {"facts": {}, "visited": 0}
    memory: Json = json.loads(path.read_bytes())
    if not isinstance(memory["facts"], dict):
        raise ValueError(f"{path} is not a memory")
    return memory


def read_answers(site: str | None, files: str | None) -> dict[str, bytes]:
    """Return the answers: those saved in a folder, else those of the site."""
    if files:
        saved = sorted(Path(files).rglob("*.json*"))
        if not saved:
            raise OSError(f"there are no answers in {files}")
        return {path.relative_to(files).as_posix(): path.read_bytes() for path in saved}

    def get(path: str) -> bytes:
        url = f"{address}/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310
            return bytes(response.read(LONGEST_ANSWER))

    address = str(site).rstrip("/")
    return fetch(get)


def check_visit(visit: Visit, site: str | None, files: str | None, memories: list[Any]) -> None:
    """Read the answers and run all steps; an answer of another form is a finding."""
    try:
        visit.files = read_answers(site, files)
        visit.check()
        for memory in memories:
            visit.compare(memory["facts"])
    except MALFORMED as problem:
        text = f"{type(problem).__name__}: {problem}"
        visit.need(False, "answer_malformed", problem=text[:300])


def save(visit: Visit, folder: str) -> None:
    """Save the answers, and the memory where nothing was found."""
    for name, data in visit.files.items():
        kind = "refused" if visit.findings else "files"
        path = Path(folder, kind, name.replace("..", "__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if not visit.findings:
        memory = {"facts": {**visit.facts, **visit.known}, "visited": visit.now}
        new = Path(folder, "memory.new")
        new.write_bytes(canonical(memory))
        new.replace(Path(folder, "memory.json"))


def report(visit: Visit, as_json: bool) -> None:
    """Print the findings; where there are none, what was verified."""
    first = "" if visit.visited else " (first visit: trusted as published)"
    visit.counts["facts remembered" + first] = len(visit.facts)
    counts = {} if visit.findings else dict(sorted(visit.counts.items()))
    if as_json:
        print(json.dumps({"findings": visit.findings, "verified": counts}))
        return
    for code, sentence in visit.findings:
        print(f"{code}: {sentence}")
    for what, count in counts.items():
        print(f"{count} {what}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--site", help="the site's address")
    source.add_argument("--files", help="a folder of answers that were saved before")
    parser.add_argument("--state", required=True, help="the folder of your memory")
    parser.add_argument("--also", help="the folder of another observer's memory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        folders = [folder for folder in (options.state, options.also) if folder]
        memories = [read_memory(folder) for folder in folders]
        now = datetime.now(timezone.utc).timestamp()
        visit = Visit({}, memories[0]["facts"], now, memories[0]["visited"])
        check_visit(visit, options.site, options.files, memories)
        save(visit, options.state)
    except (OSError, http.client.HTTPException, *MALFORMED) as problem:
        print(f"nothing can be concluded: {problem}", file=sys.stderr)
        return STATUS_NOT_READ
    report(visit, options.json)
    return STATUS_FINDINGS if visit.findings else STATUS_HOLDS


if __name__ == "__main__":
    sys.exit(main())
