#!/usr/bin/env python3
# ruff: noqa: E731, S310
"""Watch the public ledger of a Holdfast site, without trusting whoever runs it. One file, standard library only.

    python3 verify_log.py (--site https://host | --files FOLDER) --state FOLDER [--also FOLDER] [--json]

What the site tells is held against itself and against what --state remembers: the first visit is trusted, each later
one must continue it; --also is the state of somebody else, who must have been told the same. Exit code 0: all holds.
2: not; each finding is a stable code and a sentence. 3: the site cannot be read, nothing is concluded. The state is
memory.json, and the answers in files/ (with findings: refused/), under the names of ``fetch``, as --files takes them.
"""

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

DAY, MOST = 86400, 1 << 30  # seconds; bytes of one answer
OUTCOMES = ("right", "wrong", "no_answer", "truncated")
MALFORMED = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, BASE = -121665 * pow(121666, P - 2, P) % P, (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")
_bits = lambda bitmap: int.from_bytes(
    base64.b64decode(bitmap, validate=True), "little"
)  # bit i stands for index i
_ones = lambda number: bin(number).count("1")
_leaf = lambda data: hashlib.sha256(b"\x00" + data).hexdigest()
_node = lambda right, left: hashlib.sha256(b"\x01" + left + right).digest()
_time = lambda text: datetime.fromisoformat(
    (text[:-1] + "." * (len(text) < 21)).ljust(26, "0") + "+00:00"
).timestamp()
_dumps = functools.partial(
    json.dumps, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
canonical = lambda value: _dumps(value).encode()
_body = lambda one: canonical({name: one[name] for name in one if name != "signature"})
_state = lambda told: told.get(
    "set_state", told["state"]
)  # of the sealed set, also where the pair was withdrawn
_Data = type(
    "_Data", (dict,), {"__getattr__": dict.__getitem__}
)  # a JSON object; data.name is data["name"]


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


@functools.lru_cache(maxsize=256)
def _table(
    raw,
):  # multiples 0 … 15 of 16^i times the point, for i = 0 … 63; nothing where there is no such point
    y, sign = int.from_bytes(raw, "little") & ((1 << 255) - 1), raw[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return []
    x, table = P - x if x & 1 != sign else x, []
    point = (x, y, 1, x * y % P)
    for _ in range(64):
        table.append([*itertools.accumulate([point] * 15, _add, initial=(0, 1, 1, 0))])
        point = _add(table[-1][-1], point)
    return table if table[0][8][0] % P else []  # a key of small order would sign everything


def signed(public, message, signature):
    """Whether the key signed it: Ed25519 (RFC 8032, 5.1.7), verification only; key and signature in lower-case hex."""
    key, r, s = (bytes.fromhex(one) for one in (public, signature[:64], signature[64:]))
    table, s = _table(key) if len(key) == 32 else [], int.from_bytes(s, "little")
    if (
        not table
        or s >= Q
        or len(signature) != 128
        or not re.fullmatch("[0-9a-f]*", public + signature)
    ):
        return False
    h = (
        8 * Q - int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % Q
    )  # 8 Q: the whole group's order
    total = (0, 1, 1, 0)
    for of_base, of_key in zip(_table(BASE), table):
        total = _add(_add(total, of_base[s & 15]), of_key[h & 15])
        s, h = s >> 4, h >> 4
    z = pow(total[2], P - 2, P)
    return (total[1] * z % P | (total[0] * z % P & 1) << 255).to_bytes(32, "little") == r


def roots(leaves, sizes):
    """{size: root} of the trees (RFC 6962) over the first so many of the leaves."""
    stack, found = [], {0: hashlib.sha256(b"").hexdigest()}
    for count, leaf in enumerate(leaves, 1):
        stack.append(bytes.fromhex(leaf))
        for _ in range((count & -count).bit_length() - 1):
            stack[-2:] = [_node(stack[-1], stack[-2])]
        if count in sizes:
            found[count] = functools.reduce(_node, reversed(stack)).hex()
    return found


def read_note(text, keys):
    """A C2SP note: [origin, size, root, further lines], and who of ``keys`` {name: (key, 1; 4: witness)} signed."""
    body, _, below = text.rpartition("\n\n")
    (origin, size, root, *more), found = body.split("\n"), {}
    for name, data in re.findall("\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})\n", below):
        raw, (public, kind) = base64.b64decode(data, validate=True), keys.get(name, ("", 0))
        known = hashlib.sha256(
            name.encode() + b"\n" + bytes([kind]) + bytes.fromhex(public)
        ).digest()[:4]
        seen, rest = (
            (b"cosignature/v1\ntime %d\n" % int.from_bytes(raw[4:12], "big"), 12)
            if kind == 4
            else (b"", 4)
        )
        good = (
            public
            and raw[:4] == known
            and signed(public, seen + (body + "\n").encode(), raw[rest:].hex())
        )
        found.update({name: good and found.get(name, True)} if public else {})
    return [origin, int(size), base64.b64decode(root, validate=True).hex(), more], found


def fetch(get):
    """The answers of a visit. ``get`` gives the bytes at an address below /api/v1/; what lags behind comes later."""

    def pages(path):
        field, rows, more = path.rpartition("/")[2], [], [None]
        while more:
            more = json.loads(
                get(f"{path}?limit=1000" + (f"&after={rows[-1]['id']}" if rows else ""))
            )[field]
            rows += more
        return canonical({field: rows}) + b"\n"

    files = {"evaluators.json": get("evaluators"), "sets.json": get("sets")}
    logs = [one["name"] for one in json.loads(files["evaluators.json"])["evaluators"]]
    pairs = [one["slug"] for one in json.loads(files["sets.json"])["pairs"]]
    files.update({f"ledger/{log}/heads.json": pages(f"ledger/{log}/heads") for log in logs})
    files.update(
        {
            "runs.json": pages("runs"),
            **{f"board/{pair}.json": get(f"board?pair={pair}") for pair in pairs},
        }
    )
    for log in logs:
        name, more = f"ledger/{log}/lines.jsonl", True
        while more:
            more = get(
                f"ledger/{log}/lines?start={files.setdefault(name, b'').count(10)}&limit=5000"
            )
            files[name] += more
    files["grants.json"] = pages("grants")
    files.update({f"sets/{pair}.manifest.json": get(f"sets/{pair}/manifest") for pair in pairs})
    return {**files, **{f"sets/{pair}.json": get(f"sets/{pair}") for pair in pairs}}


class Visit:
    """The answers of one visit and what is found in them; ``known`` is what is remembered, times are in seconds."""

    def __init__(self, files, known, now, visited=0):
        self.files, self.known, self.now, self.visited = files, known, now, visited
        self.facts, self.findings, self.counts, self.keys, self.sets, self.grants = (
            {},
            [],
            Counter(),
            {},
            {},
            {},
        )
        self.pairs, self.forms, self.lines, self.openings = (
            {},
            {},
            defaultdict(list),
            defaultdict(list),
        )  # lists of (log, line)

    def _need(self, holds, code, sentence):
        self.findings += (
            []
            if holds
            else [(code, "".join(one if one.isprintable() else "?" for one in sentence))]
        )
        return bool(holds)

    def _read(self, name):
        return json.loads(self.files[name], object_hook=_Data)

    def _check(self):  # everything, in the order of what rests on what
        for one in self._read("evaluators.json").evaluators:
            self._log(one.name, one)
        for one in self._read("sets.json").pairs:
            self._set(one.slug)
        self._grants()
        for run, name in sorted(self.lines):
            self._run(run, name)
        for name, of in self.sets.items():
            self._need(
                _ones(of.T2) <= of.manifest.cap,
                "cap_exceeded",
                f"{name}: self-declared endpoints saw too much",
            )
            self._release(name, of, of.told, of["keys"])
        for slug, told in self.pairs.items():
            name = told.private.name
            of = _Data(self.sets[name], slug=slug, told=told)
            rows = {row.run: row for row in self._read(f"board/{slug}.json").rows}
            self._withdrawn(slug, told, rows) if told.get("withdrawn") else self._board(
                name, of, rows
            )

    def _compare(
        self, known
    ):  # nothing is another, gone or shorter; rules, notes and scores go with their set or row
        for key, old in known.items():
            kind, new = key.split(" ")[0], self.facts.get(key)
            if new is None or (
                isinstance(old, list) and len(new) < len(old) and new == old[: len(new)]
            ):
                self._need(
                    kind in ("rule", "note", "score"),
                    f"{kind}_gone",
                    f"{key} was told before and is not now",
                )
            else:
                same = (new[: len(old)] if isinstance(old, list) else new) == old
                self._need(same, f"{kind}_changed", f"{key} is not what was told before")
                known[key] = (
                    new if same else old
                )  # what is remembered never changes, but a list may become longer

    def _log(self, log, told):
        public = self.keys[log] = self.facts[f"key {log}"] = told.report_pub
        self._need(
            not told.flagged, "evaluator_flagged", f"the site says that {log} contradicts itself"
        )
        old = self.known.get(f"log {log}", []) if self.known.get(f"key {log}") == public else []
        *raws, rest = self.files[f"ledger/{log}/lines.jsonl"].split(b"\n")
        self._need(
            not rest and len(raws) >= told.lines,
            "lines_missing",
            f"{log} has lines that are not served",
        )
        previous, hashes, sound = "0" * 64, [], self.facts.setdefault(f"log {log}", [])
        for place, raw in enumerate(raws):
            hashes.append(
                _leaf(raw)
            )  # one that was verified at an earlier visit is not verified again
            good = self._line((log, place, previous), raw, old[place : place + 1] == hashes[-1:])
            sound.extend(hashes[-1:] if good and len(sound) == place else [])
            previous = hashes[-1]
            print(
                f"{log}: {place + 1} of {len(raws)} lines", file=sys.stderr
            ) if place % 5000 == 4999 else None
        heads = self._read(f"ledger/{log}/heads.json").heads
        known = roots(hashes, {one.size for one in heads})
        for size, root, note in ((one.size, one.root, one.note) for one in heads):
            good = read_note(note, {log: (public, 1)}) == (
                [f"holdfast/log/{log}", size, root, []],
                {log: True},
            )
            self._need(good, "head_unsigned", f"a head of {log} at {size} is not what it signed")
            self._need(
                self.facts.setdefault(f"head {log} {size}", root) == root,
                "log_forked",
                f"two heads at {size}",
            )
            self._need(
                size in known,
                "head_without_lines",
                f"{log} signed {size} lines; not all are served (yet?)",
            )
            self._need(
                known.get(size, root) == root,
                "head_differs",
                f"{log}: its head at {size} is over other lines",
            )
        self.counts.update(
            {f"{log}: lines, signed and chained": len(raws), f"{log}: heads over them": len(heads)}
        )

    def _line(self, place, raw, checked):
        line, at = json.loads(raw, object_hook=_Data), f"line {place[1]} of {place[0]}"
        exact = canonical(line) == raw and (
            line.kind != "exposure" or _ones(_bits(line["items"])) == line.count
        )
        good = self._need(
            exact, "line_malformed", f"{at} is not canonical, or its count is another"
        )
        good &= self._need(
            (line.evaluator, line.index, line.previous) == place, "chain_broken", f"{at}: misplaced"
        )
        genuine = checked or signed(
            self.keys[place[0]], b"holdfast/log/v2\n" + _body(line), line.signature
        )
        good &= self._need(genuine, "line_unsigned", f"{at} is not signed by its evaluator")
        where = self.lines[line.run, line.set] if "run" in line else self.openings[line.set]
        where.extend([(place[0], line)] if line.kind not in ("enrolment", "drill") else [])
        return good

    def _set(self, slug):
        told, raw = self._read(f"sets/{slug}.json"), self.files[f"sets/{slug}.manifest.json"]
        manifest, hashed = json.loads(raw, object_hook=_Data), _leaf(raw[:-1])
        name, root, n = manifest.name, manifest.root, manifest.n
        good = told.private.digest == root and raw == canonical(manifest) + b"\n"
        self._need(
            good, "manifest_differs", f"{slug}: the registered set is not the one of its manifest"
        )
        whole = len(manifest.leaves) == n and roots(manifest.leaves, {n})[n] == root
        self._need(whole, "leaves_differ", f"{name}: the root is not that of the leaves")
        blocks, seasons, people = (
            manifest.blocks,
            manifest.seasons,
            manifest.maintainers + manifest.witnesses,
        )
        exposed, ends = (
            {b.id: b.n for b in blocks if b.stratum == "exposed"},
            [0] + [b.start + b.n for b in blocks],
        )
        good = (
            [b.start for b in blocks] == ends[:-1]
            and ends[-1] == n
            and set(seasons) <= set(exposed)
        )
        once = [
            [b.id for b in blocks],
            seasons,
            [one.name for one in people],
            [one.public for one in people],
        ]
        good = (
            good
            and manifest.cap == sum(exposed[x] for x in seasons)
            and all(len(set(x)) == len(x) for x in once)
        )
        good = good and bool(manifest.maintainers) <= manifest.quorum <= len(manifest.maintainers)
        self._need(good, "manifest_invalid", f"{name}: blocks, seasons, cap or signers do not fit")
        asked = all((manifest.terms or told)[one] == told[one] for one in ("protocol", "grader"))
        self._need(
            asked or told.get("withdrawn"),
            "terms_differ",
            f"{slug}: asked or graded otherwise than was committed to",
        )
        masks = {b.id: ((1 << b.n) - 1) << b.start for b in blocks}
        of = _Data(
            slug=slug, told=told, manifest=manifest, masks=masks, hashed=hashed, T2=0, gone=[0]
        )
        of.update(
            {
                one: sum(masks[b.id] for b in blocks if b.stratum == one)
                for one in ("local", "spare")
            }
        )
        of["season"] = sum(masks[one] for one in seasons[: told.season + 1])
        rest = sum(
            masks[one] for one in exposed if one not in seasons
        )  # of each part: what is gone, what waits
        of["parts"] = dict.fromkeys(
            (rest, of.local, of.spare, *(masks[one] for one in seasons)), (0, 0)
        )
        of["keys"] = {one.name: one.public for one in manifest.maintainers}
        self.pairs[slug], shared = told, self.sets.setdefault(name, of)
        self._need(shared.hashed == hashed, "set_twice", f"{name} has two manifests")
        self._same_set(slug, shared.told, told)
        pair = [
            name,
            told.public.name,
            told.public.digest,
            told.public.n,
            told.protocol,
            told.grader,
        ]
        facts = {f"rule {name}": manifest.rule, f"note {name}": told.head, f"pair {slug}": pair}
        self.facts.update(
            {key: _leaf(canonical(one)) for key, one in facts.items()}, **{f"set {name}": hashed}
        )
        keys = {one.name: (one.public, 1 if one.name in of["keys"] else 4) for one in people}
        head, found = read_note(told.head, keys) if of["keys"] else ([], {})
        good = (
            head == [f"holdfast/set/{name}", n, root, [hashed]]
            and {*found} & {*of["keys"]}
            and all(found.values())
        )
        self._need(
            good or not of["keys"],
            "set_head_invalid",
            f"{name}: somebody named on its head did not sign it",
        )
        self._notices(name, manifest, told.notices, of) if shared is of else None

    def _same_set(self, slug, other, told):
        """Compare the facts of one set as two pairs over it are told; remember a withdrawal, which is for ever."""
        alike = all(
            other[one] == told[one] for one in ("head", "notices", "season", "evidence", "release")
        )
        self._need(
            alike and _state(other) == _state(told),
            "pairs_differ",
            f"{slug}: another pair over its set is told otherwise",
        )
        if told.get("withdrawn"):
            self.facts[f"withdrawn {slug}"] = _leaf(canonical(told.withdrawn))

    def _withdrawn(self, slug, told, rows):
        """A pair that was withdrawn never had a result, neither now nor when it was looked at before."""
        scored = {key.split(" ")[1] for key in self.known if key.startswith("score ")}
        ranked = {
            run for run, one in self.runs.items() if one.pair == slug and one.state == "ranked"
        }
        ranked |= {run for run in scored if self.known.get(f"run {run}") == slug} | set(rows)
        self._need(not ranked, "withdrawn_ranked", f"{slug} is withdrawn, and had a result")
        self.counts["pairs that were withdrawn, without a result"] += not ranked

    def _notices(self, name, manifest, notices, of):
        previous, last, hashes = (
            "0" * 64,
            _time(manifest.created),
            self.facts.setdefault(f"notices {name}", []),
        )
        for place, one in enumerate(told.notice for told in notices):
            at, when, hashed = f"notice {place} on {name}", _time(one.moment), _leaf(canonical(one))
            good = signed(
                of["keys"].get(one.maintainer, ""),
                b"holdfast/notice/v1\n" + _body(one),
                one.signature,
            )
            self._need(good, "notice_unsigned", f"{at} is not signed by a maintainer")
            about = (one.set, one.root, one.index, one.previous, notices[place].hash)
            self._need(
                about == (name, manifest.root, place, previous, hashed),
                "notice_broken",
                f"{at} is misplaced",
            )
            good = (
                place < len(self.known.get(f"notices {name}", [])) or when > self.visited - 7 * DAY
            )
            self._need(
                when >= last and good,
                "notice_backdated",
                f"{at} is dated before what was told earlier",
            )
            item = (
                of.masks.get(one.block, (1 << manifest.n) - 1)
                if one.item is None
                else 1 << one.item
            )
            for part, (
                gone,
                waited,
            ) in of.parts.items():  # what is named waits: for a cell that leaves one, or none
                waits, left = waited | item & part & ~gone, part & ~gone
                step = waits == left or manifest.get("cell", 100) <= min(
                    _ones(waits), _ones(left & ~waits)
                )
                of.parts[part] = (gone | waits, 0) if step else (gone, waits)
            of.gone.append(sum(gone for gone, _ in of.parts.values()))
            previous, last = hashed, when
            hashes.append(hashed)

    def _grants(self):
        self.runs = {one.id: one for one in self._read("runs.json").runs}
        self.facts.update({f"run {run}": one.pair for run, one in self.runs.items()})
        for one in self._read("grants.json").grants:
            key, salted = (
                f"grant {one.run} {one.token}",
                {"salt": one["salt"]} if "salt" in one else {},
            )
            fields = {"kind": "grant", "version": 1 + len(salted), **salted}
            fields.update({x: one[x] for x in ("run", "token", "recipient", "sets")})
            # Closed until a reveal names the recipient: only the hash is there to be remembered.
            hashed = one.hash if one["recipient"] is None else _leaf(canonical(fields))
            self._need(hashed == one.hash, "grant_hash_wrong", f"{key} is not what its hash is of")
            self._need(
                self.facts.setdefault(key, hashed) == hashed,
                "grant_twice",
                f"{key} is there in two forms",
            )
            self.grants[one.run, one.token] = (
                one.recipient,
                {(x.name, x.digest): _bits(x["items"]) for x in one.sets},
            )
            for mine, of in ((x, self.sets[x.name]) for x in one.sets if x.name in self.sets):
                form = sum(
                    of.masks[block] for block in mine.blocks or of.masks
                )  # less what counted no longer by then
                self.forms.setdefault(
                    (one.run, mine.name), form & (~of.gone[-1] | _bits(mine["items"]))
                )
        self.counts.update(
            {"grants, by their hashes": len(self.grants), "runs listed": len(self.runs)}
        )

    def _run(self, run, name):
        of, seen, closed = (
            self.sets.get(name),
            Counter(),
            set(),
        )  # what each log showed, and which attempts it closed
        for log, line in (
            self.lines[run, name] if self._need(of, "set_unknown", f"{name}: of no pair") else []
        ):
            at = f"line {line.index} of {log}"
            self._need(
                line.root == of.manifest.root, "root_differs", f"{at} is about another {name}"
            )
            self._need(
                (log, line.token) not in closed,
                "attempt_closed",
                f"{at}: the attempt was closed before",
            )
            if line.kind == "exposure":
                self._exposure(at, log, line, of)
                seen[log] |= _bits(line["items"])
            else:
                self._need(
                    line.count <= _ones(seen[log]),
                    "closing_unexposed",
                    f"{at} counts items never shown",
                )
                closed.add((log, line.token))
            self.counts[f"{line.kind}s, by grant and order"] += 1

    def _exposure(self, at, log, line, of):
        items, tier, grant = (
            _bits(line["items"]),
            line.tier,
            self.grants.get((line.run, line.token)),
        )
        if self._need(grant, "exposure_not_granted", f"{at}: nothing was granted for it"):
            within = grant[0] == line.recipient and not items & ~grant[1].get(
                (line.set, line.root), 0
            )
            self._need(
                within,
                "exposure_beyond_grant",
                f"{at}: granted was something else, or to somebody else",
            )
        fits = (tier == "T0") == (line.recipient == "jail") and tier in ("T0", "T1", "T2")
        self._need(fits, "tier_wrong", f"{at}: {line.recipient} as {tier}")
        opened = [
            one for whose, one in self.openings[line.set] if whose == log and one.index < line.index
        ]
        self._need(
            opened or not items & of.spare,
            "spare_item_exposed",
            f"{at}: an item that nobody may see",
        )
        self._need(
            tier == "T0" or not items & of.local,
            "local_item_exposed",
            f"{at}: an item for the jail only",
        )
        self._need(
            tier != "T2" or not items & ~of.season,
            "season_exceeded",
            f"{at}: not in a block of the seasons",
        )
        of["T2"] |= items if tier == "T2" else 0

    def _board(self, name, of, rows):
        plain = [(row.run, row.model) for row in self._read(f"board/{of.slug}.json").rows]
        once = len(plain) == len(rows) == len({model for _, model in plain})
        self._need(once, "row_twice", f"{of.slug}: a model or a run has two rows")
        for run in sorted(
            {run for run, whose in self.lines if whose == name} | set(self.runs) | set(rows)
        ):
            lines, form = self.lines.get((run, name), []), self.forms.get((run, name), 0)
            lines = sorted(
                lines, key=lambda one: one[1].token
            )  # the last attempt of each log says what it came to
            last = {log: line for log, line in lines if line.kind == "closing"}
            total = {
                one: sum(line[one] for line in last.values()) for one in ("count", "not_counted")
            }
            top = max(
                [one.token for one in last.values()] or [MOST]
            )  # what the jail sees later is graded again
            shown = [
                x
                for _, x in lines
                if x.kind == "exposure" and (x.token <= top or x.recipient != "jail")
            ]
            if run in self.runs and self.runs[run].pair != of.slug and run not in rows:
                continue
            if run in rows:
                self._row(rows[run], of, form, shown, total | self._tallies(run, of, last.values()))
                continue
            one, done = (
                self.runs.get(run),
                last and total["count"] - total["not_counted"] >= _ones(form),
            )
            if (
                one
                and one.state == "ranked"
                and one.pair == of.slug
                and not (one.retracted or one.post_release)
            ):
                newer = {model: self.runs.get(run, one).queued_at for run, model in plain}.get(
                    one.model, ""
                )
                good = newer is None or newer > one.queued_at or not form & ~of.gone[-1]
                self._need(good, "run_withheld", f"{run} is ranked and has no row")
            newest = max(
                [(row.get("judged") or {}).get("closed", "") for row in rows.values()], default=""
            )
            if done and not (one and one.state in ("ranked", "failed", "cancelled")):
                at = max(
                    line.moment for line in last.values()
                )  # a graded run may wait for the next close
                good = _time(at) >= self.now - DAY or (
                    one and one.state == "graded" and at[:10] >= newest
                )
                self._need(
                    good,
                    "run_withheld",
                    f"{run} is complete on the log; nothing says what became of it",
                )

    def _tallies(
        self, run, of, last
    ):  # what closings committed to; of a run with a small one nothing need be opened
        told, total = (
            {one.line: one for one in self.runs.get(run, {}).get("tallies", [])},
            Counter(unopened=0),
        )
        small = any(x.count - x.not_counted < of.manifest.get("cell", 100) for x in last)
        for line in last:
            one, n = told.get(_leaf(canonical(line))), line.count - line.not_counted
            data = b"holdfast/tally/v1\n" + canonical(
                {x: y for x, y in (one or {}).items() if x != "line"}
            )
            good = (
                hashlib.sha256(data).hexdigest() == line.tally
                and sum(one[x] for x in OUTCOMES) == n
            )
            self._need(
                good or (small and not one),
                "tally_differs",
                f"{run}: what a closing committed to is not told",
            )
            total.update({x: one[x] for x in OUTCOMES} if one else {"unopened": n})
        return total

    def _row(self, row, of, form, shown, total):
        mine, at, one, late = (
            row.private,
            row.run,
            self.runs.get(row.run),
            of.told.notices[row.version :],
        )
        good = (
            one
            and one.state not in ("failed", "cancelled")
            and not (one.retracted or one.post_release)
        )
        good = good and one.pair == of.slug
        self._need(
            good and one.model in (None, row.model),
            "row_unknown",
            f"row {at} is of no run that may have one",
        )
        good = row.version < len(of.gone) and all(
            _time(x.notice.moment) > self.now - DAY for x in late
        )
        self._need(good, "row_stale", f"row {at} is not over the items that count by the notices")
        n, good = _ones(form & ~of.gone[: row.version + 1][-1]), row.public.n == of.told.public.n
        self._need(0 < n == mine.n and good, "form_differs", f"row {at} is not over its form")
        lost, good = total["count"] - mine.n, abs(mine.accuracy * mine.n - mine.right) < 1e-6
        good = good and lost >= 0 and sum(mine[one] for one in OUTCOMES) == mine.n
        good = good and all(
            total[one] - lost <= mine[one] <= total[one] + total["unopened"] for one in OUTCOMES
        )
        self._need(total["count"], "row_without_closing", f"row {at}: no log says what it came to")
        self._need(
            good or not total["count"], "score_differs", f"row {at} has other counts than its log"
        )
        left = functools.reduce(lambda left, line: left & ~_bits(line["items"]), shown, form)
        self._need(
            not left, "form_not_exposed", f"row {at} counts items that no log says it was shown"
        )
        self._need(
            {line.tier for line in shown} <= {row.tier},
            "tier_differs",
            f"row {at} was shown as another tier",
        )
        self.facts[f"score {row.run} {row.version}"] = " ".join(
            str(mine[one]) for one in (*OUTCOMES, "n")
        )
        self.counts["rows of the board, by their logs"] += 1

    def _release(self, name, of, told, keys):
        hashed = None
        if _state(told) == "released" and self._need(
            told.release, "release_without_statement", f"{name} is released"
        ):
            statement, votes = told.release.statement.statement, told.release.statement.votes
            message, opener = b"holdfast/release/v1\n" + canonical(statement), statement.evaluator
            hashed = self.facts[f"release {name}"] = _leaf(message)
            digests = [
                hashlib.sha256(canonical(one)).hexdigest()
                for one in (of.manifest.rule, told.evidence)
            ]
            good = [statement[one] for one in ("set", "root", "manifest", "rule", "evidence")]
            good = good == [name, of.manifest.root, of.hashed, *digests]
            self._need(good, "release_differs", f"{name}: the statement is of another release")
            good = {
                one.maintainer
                for one in votes
                if signed(keys.get(one.maintainer, ""), message, one.signature)
            }
            good = len(good) == len(votes) >= of.manifest.quorum > 0
            self._need(good, "release_without_quorum", f"{name}: not enough maintainers signed")
            good = (opener.name, hashed) in [
                (log, line.statement) for log, line in self.openings[name]
            ]
            good = good and self.keys.get(opener.name) == opener.report_pub
            self._need(
                good,
                "release_without_opening",
                f"{name}: no log says that it was opened under this statement",
            )
        for _, line in self.openings[name]:
            good = _state(told) == "proposed" and _time(line.moment) > self.now - 7 * DAY
            self._need(
                good or line.statement == hashed,
                "opening_without_release",
                f"{name}: opened, not released",
            )


def main(arguments=None):
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("--site", "--files", "--state", "--also"):
        parser.add_argument(name, required=name == "--state")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    get = lambda path: urllib.request.urlopen(
        f"{asked.site.rstrip('/')}/api/v1/{path}", timeout=60
    ).read(MOST)
    try:
        states = [Path(one, "memory.json") for one in (asked.state, asked.also) if one]
        known, *also = [
            json.loads(one.read_bytes()) if one.exists() else {"facts": {}, "visited": 0}
            for one in states
        ]
        visit = Visit({}, known["facts"], datetime.now(timezone.utc).timestamp(), known["visited"])
        try:
            saved = Path(asked.files).rglob("*.json*") if asked.files else ()
            visit.files = {
                one.relative_to(asked.files).as_posix(): one.read_bytes() for one in saved
            } or fetch(get)
            visit._check()
            for told in (known, *also):
                visit._compare(told["facts"])
        except MALFORMED as problem:
            visit._need(False, "answer_malformed", f"{type(problem).__name__}: {problem}"[:300])
        for name, data in visit.files.items():
            place = Path(
                asked.state, "refused" if visit.findings else "files", name.replace("..", "__")
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        if not visit.findings:
            new = states[0].with_suffix(".new")
            new.write_bytes(
                canonical({"facts": {**visit.facts, **visit.known}, "visited": visit.now})
            )
            new.replace(states[0])
    except (OSError, http.client.HTTPException, *MALFORMED) as problem:
        print(f"nothing can be concluded: {problem}", file=sys.stderr)
        return 3
    visit.counts[
        "facts remembered" + " (first visit: trusted as told)" * (not known["visited"])
    ] = len(visit.facts)
    counts = {what: count for what, count in sorted(visit.counts.items()) if not visit.findings}
    lines = [f"{code}: {sentence}" for code, sentence in visit.findings] + [
        f"{counts[one]} {one}" for one in counts
    ]
    print(
        json.dumps({"findings": visit.findings, "verified": counts})
        if asked.json
        else "\n".join(lines)
    )
    return 2 if visit.findings else 0


if __name__ == "__main__":
    sys.exit(main())
