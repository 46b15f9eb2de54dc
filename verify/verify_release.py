#!/usr/bin/env python3
# ruff: noqa: E731
"""Verify a release of a sealed set, without trusting whoever published it. One file, standard library only.

    python3 verify_release.py BUNDLE [--root HEX] [--manifest FILE]

Exit code 0 only if all holds: the items and salts hash to the published leaves and root, where the committed seed
deals them; enough maintainers signed this release of this set on this evidence; the evidence meets the rule and agrees
with the evaluator's whole log; what models answered is what the log committed to when their runs ended; nothing is
missing, added or changed. Else 2, and the first reason. ``--root`` and ``--manifest`` compare with what was published
before the first run: keep them, or ask somebody who did.
"""

import argparse
import base64
import hmac
import json
import re
import sys
from collections import Counter
from datetime import datetime, timezone
from fractions import Fraction
from hashlib import sha256, sha512
from itertools import accumulate
from pathlib import Path

REQUIRED = {
    "statement.json", "manifest.json", "evidence.json", "seed.json", "items.jsonl", "log.jsonl", "log.head.txt",
    "head.txt", "LICENSE.txt", "README.md", "verify_release.py", "contents.json", "contents.sig",
}  # fmt: skip
GENESIS, NOT_COUNTED = "0" * 64, 5
leaf_hash = lambda data: sha256(b"\x00" + data).digest()
keys_of = lambda parties: {one["name"]: unhex(one["public"], 32, "a key") for one in parties}
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


class Refused(Exception):
    """Something does not hold."""


def need(holds, reason):
    """Raise :class:`Refused` unless it holds."""
    if not holds:
        raise Refused(reason)


# Ed25519, verification only: RFC 8032, sections 5.1.7 and 6.
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(k, point):
    doubled = _times(k >> 1, _add(point, point)) if k else (0, 1, 1, 0)
    return _add(doubled, point) if k & 1 else doubled


def _point(raw):
    sign, y = divmod(int.from_bytes(raw, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    """Whether the signature (64 bytes) is by the public key (32 bytes): not of small order, which signs anything."""
    key, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if (
        len(public) != 32
        or len(signature) != 64
        or not key
        or not r
        or s >= Q
        or _times(8, key)[0] == 0
    ):
        return False
    h = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = _times(s, BASE), _add(r, _times(h, key))
    return all((left[place] * right[2] - right[place] * left[2]) % P == 0 for place in (0, 1))


def canonical(value):
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def parse(name, data):
    """The value of a file of canonical JSON, for ``.jsonl`` the list of its lines' values."""
    lines = data.splitlines(keepends=True) if name.endswith(".jsonl") else [data]
    values = [json.loads(line) for line in lines]
    need(
        [canonical(value) + b"\n" for value in values] == lines, f"{name} is not in canonical form"
    )
    return values if name.endswith(".jsonl") else values[0]


def unhex(text, size, what):
    """Bytes of so many, from lower-case hexadecimal."""
    need(
        re.fullmatch("[0-9a-f]*", text) and len(text) == 2 * size,
        f"{what} is not {size} bytes in hexadecimal",
    )
    return bytes.fromhex(text)


def tree_root(leaves):
    """RFC 6962, 2.1, in hexadecimal."""
    level = list(leaves) or [sha256(b"").digest()]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2])
        level = [sha256(b"\x01" + one + other).digest() for one, other in pairs] + level[
            len(level) & ~1 :
        ]
    return level[0].hex()


def read_note(data, what):
    """(origin, size, root, further lines), the signed body, and [(name, key id, data)]."""
    body, blank, below = data.decode().rpartition("\n\n")
    lines = body.split("\n")
    whole = blank and len(lines) >= 3 and below.endswith("\n")
    need(whole and re.fullmatch(r"0|[1-9][0-9]*", lines[1]), f"{what} is not a signed note")
    matches = [
        re.fullmatch("\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})", line)
        for line in below[:-1].split("\n")
    ]
    need(all(matches), f"{what} has a malformed signature line")
    texts = [lines[2], *(match[2] for match in matches)]
    root, *raw = map(base64.b64decode, texts)
    need(
        [base64.b64encode(one).decode() for one in (root, *raw)] == texts,
        f"{what} has malformed base64",
    )
    found = [(match[1], one[:4], one[4:]) for match, one in zip(matches, raw)]
    return (lines[0], int(lines[1]), root.hex(), lines[3:]), (body + "\n").encode(), found


def signed_line(line, body, public, kind=b"\x01"):
    """Whether this key made a signature line of a note, or a cosignature (kind 4, which bears its own time)."""
    name, known, data = line
    if kind == b"\x04":
        body, data = b"cosignature/v1\ntime %d\n" % int.from_bytes(data[:8], "big") + body, data[8:]
    return known == sha256(name.encode() + b"\n" + kind + public).digest()[:4] and signed(
        public, body, data
    )


def check_contents(folder):
    """Every file's bytes, once they are the ones that contents.json lists."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        plain = path.is_file() or (path.is_dir() and name == "completions")
        need(plain and not path.is_symlink(), f"{path.name} is not a plain file")
        files.update({name: path.read_bytes()} if path.is_file() else {})
    optional = {
        name
        for name in files
        if re.fullmatch(r"completions/[0-9a-f-]{36}\.jsonl|notices\.jsonl", name)
    }
    need(REQUIRED <= set(files) <= REQUIRED | optional, "a file is missing or one too many")
    digests = {
        name: sha256(data).hexdigest() for name, data in files.items() if name[:9] != "contents."
    }
    need(
        parse("contents.json", files["contents.json"]) == digests,
        "a file is not the one that contents.json lists",
    )
    return files


def check_manifest(manifest):
    """The manifest against itself; returns its leaf hash."""
    leaves, blocks, seasons = manifest["leaves"], manifest["blocks"], manifest["seasons"]
    whole = (
        len(leaves) == manifest["n"]
        and tree_root(unhex(leaf, 32, "a leaf") for leaf in leaves) == manifest["root"]
    )
    need(whole, "the root is not its leaves'")
    ends = [0, *accumulate(block["n"] for block in blocks)]
    covered = [block["start"] for block in blocks] == ends[:-1] and ends[-1] == manifest["n"]
    need(covered and all(block["n"] >= 1 for block in blocks), "the blocks do not cover the set")
    need(len({block["id"] for block in blocks}) == len(blocks), "two blocks have one name")
    need(
        {block["stratum"] for block in blocks} <= {"exposed", "local", "spare"},
        "a block has an unknown stratum",
    )
    exposed = {block["id"]: block["n"] for block in blocks if block["stratum"] == "exposed"}
    fit = len(set(seasons)) == len(seasons) and set(seasons) <= set(exposed)
    need(
        fit and manifest["cap"] == sum(exposed[one] for one in seasons),
        "the seasons do not fit the blocks",
    )
    people = manifest["maintainers"] + manifest["witnesses"]
    apart = all(len({one[field] for one in people}) == len(people) for field in ("name", "public"))
    need(apart, "a maintainer or witness is named twice")
    need(1 <= manifest["quorum"] <= len(manifest["maintainers"]), "the quorum cannot be reached")
    return leaf_hash(canonical(manifest)).hex()


def check_notices(notices, manifest):
    """What maintainers said of the set since: chained and signed. Returns the indices that no longer count."""
    keys, previous, items, every = (
        keys_of(manifest["maintainers"]),
        GENESIS,
        [],
        range(manifest["n"]),
    )
    blocks = {
        block["id"]: range(block["start"], block["start"] + block["n"])
        for block in manifest["blocks"]
    }
    for place, notice in enumerate(notices):
        about = (notice["set"], notice["root"], notice["index"], notice["previous"])
        need(
            about == (manifest["name"], manifest["root"], place, previous),
            f"notice {place} does not follow",
        )
        message = canonical({name: value for name, value in notice.items() if name != "signature"})
        key, signature = (
            keys.get(notice["maintainer"], b""),
            unhex(notice["signature"], 64, "a signature"),
        )
        need(
            signed(key, b"holdfast/notice/v1\n" + message, signature),
            f"notice {place} is not signed",
        )
        kind, one = notice["kind"], [notice["item"]]
        items.append(
            set(
                {"retire_block": blocks.get(notice["block"]), "erratum": one, "compromise": every}[
                    kind
                ]
            )
        )
        previous = leaf_hash(canonical(notice)).hex()
    return retired(manifest, items)


def retired(manifest, about):
    """What no longer counts: in each part of the set, what is named waits until it is a cell and leaves one, or 0."""
    seasons, cell, gone = manifest["seasons"], manifest.get("cell", 100), set()
    parts = [
        one["id" if one["id"] in seasons else "stratum"]
        for one in manifest["blocks"]
        for _ in range(one["n"])
    ]
    for part in set(parts):
        left, waits = {index for index, of in enumerate(parts) if of == part}, set()
        for items in about:
            waits |= left.intersection(items)
            if waits == left or cell <= len(waits) <= len(left) - cell:
                gone, left, waits = gone | waits, left - waits, set()
    return gone


def check_head(note, manifest, digest):
    """The set's tree head as it was published: by a maintainer, over this manifest, cosigned as it says."""
    head, body, lines = note
    wanted = (f"holdfast/set/{manifest['name']}", manifest["n"], manifest["root"], [digest])
    need(head == wanted, "head.txt is of another set")
    maintainers, witnesses = keys_of(manifest["maintainers"]), keys_of(manifest["witnesses"])
    names = [line[0] for line in lines]
    need(set(names) & set(maintainers), "head.txt is signed by no maintainer")
    once = len({*names}) == len(names) and {*names} <= {*maintainers, *witnesses}
    need(once, "head.txt has a signature by somebody else")
    for line in lines:
        role = (
            (maintainers[line[0]], b"\x01")
            if line[0] in maintainers
            else (witnesses[line[0]], b"\x04")
        )
        need(signed_line(line, body, *role), f"head.txt: {line[0]} did not sign it")


def check_items(items, manifest, seed):
    """Items and salts against the leaves, and their places against the deal from the seed."""
    need(
        sha256(b"holdfast/seed/v1\n" + seed).hexdigest() == manifest["seed_hash"],
        "the seed is another one",
    )
    need(len(items) == manifest["n"], "items are missing or too many")
    ranked = []
    for index, item in enumerate(items):
        need(item["index"] == index and len(item) == 4, f"item {index} is out of place")
        record = canonical({"question": item["question"], "answer": item["answer"]})
        info = canonical({"domain": "holdfast/salt/v1", "set": manifest["name"], "index": index})
        salt = hmac.digest(seed, info + b"\x01", "sha256")
        need(item["salt"] == salt.hex(), f"item {index} has a salt that is not the seed's")
        leaf = leaf_hash(b"holdfast/item/v1\n" + salt + record).hex()
        need(
            leaf == manifest["leaves"][index], f"item {index} is not the one that was committed to"
        )
        gold = item["answer"].split("####")[-1].strip().replace(",", "").lstrip("-\u2212")
        kind = (item["answer"].count("<<"), max(1, len(gold.partition(".")[0].lstrip("0"))))
        ranked.append((kind, hmac.digest(seed, record, "sha256"), index))
    blocks = manifest["blocks"]
    pattern = sorted(
        (Fraction(2 * k + 1, 2 * block["n"]), block["id"])
        for block in blocks
        for k in range(block["n"])
    )
    dealt = {block["id"]: [] for block in blocks}
    for (_, key, index), (_, block) in zip(sorted(ranked), pattern):
        dealt[block].append((key, index))
    places = [index for block in blocks for _, index in sorted(dealt[block["id"]])]
    need(places == list(range(manifest["n"])), "the items lie where the seed did not deal them")


def check_statement(votes, statement, manifest, digest, evidence):
    """The release statement is about these files, and enough maintainers signed it; returns its digest."""
    rule, grounds = (sha256(canonical(value)).hexdigest() for value in (manifest["rule"], evidence))
    wanted = {
        "manifest": digest,
        "rule": rule,
        "evidence": grounds,
        "set": manifest["name"],
        "root": manifest["root"],
    }
    for name, value in wanted.items():
        need(statement[name] == value, f"the statement is about another {name}")
    need(
        (evidence["set"], evidence["root"]) == (manifest["name"], manifest["root"]),
        "the evidence is of another set",
    )
    need(
        _moment(statement["moment"]) <= datetime.now(timezone.utc),
        "the statement is from the future",
    )
    message, keys = (
        b"holdfast/release/v1\n" + canonical(statement),
        keys_of(manifest["maintainers"]),
    )
    need(len({vote["maintainer"] for vote in votes}) == len(votes), "a maintainer voted twice")
    for vote in votes:
        name, signature = vote["maintainer"], unhex(vote["signature"], 64, "a vote")
        need(
            len(vote) == 2 and signed(keys.get(name, b""), message, signature),
            f"{name} did not sign this",
        )
    need(
        len(votes) >= manifest["quorum"], f"{len(votes)} of {manifest['quorum']} maintainers signed"
    )
    return leaf_hash(message).hex()


def check_rule(rule, evidence, moment):
    """The evidence meets the rule at the moment of the statement."""
    need(
        len({run["run"] for run in evidence["runs"]}) == len(evidence["runs"]),
        "the evidence tells a run twice",
    )
    dates = [_moment(one["moment"]) for one in rule["any_of"] if one["kind"] == "date"]
    met = any(
        _apart(_good(one, evidence), one["models"])
        for one in rule["any_of"]
        if one["kind"] == "lineages"
    )
    need(
        met or any(_moment(moment) >= date for date in dates),
        "the evidence does not meet the release rule",
    )


def _moment(text):
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc)


def _ancestries(lineages):
    """Each lineage that is told one way, with itself and all it was made from; none above a cycle or an unknown."""
    told = {(fact["name"], frozenset(fact["parents"])) for fact in lineages}
    ways, known = Counter(name for name, _ in told), {}
    waiting = {name: parents for name, parents in told if ways[name] == 1}
    while ready := [name for name, parents in waiting.items() if parents <= known.keys()]:
        known.update(
            {
                name: frozenset([name]).union(*(known[one] for one in waiting.pop(name)))
                for name in ready
            }
        )
    return known


def _good(clause, evidence):
    """The runs that have enough right, each with its ancestry."""
    known, good = _ancestries(evidence["lineages"]), []
    of = lambda run: (run["model"], run.get("artefact", ""))
    told = Counter(
        weights for weights, _ in {(of(run), run["lineage"]) for run in evidence["runs"]}
    )
    for run in evidence["runs"]:
        whole = (
            run["complete"]
            and run["current"]
            and 0 < run["n"] == run["assigned"]
            and run["right"] <= run["n"]
        )
        fair = run["tier"] == "T0" and not run["retracted"] and not run["flagged"]
        enough = run["right"] * clause["denominator"] >= clause["numerator"] * run["n"]
        free = run["open_weights"] or not clause["open_weights"]
        if whole and fair and enough and free and run["lineage"] in known and told[of(run)] == 1:
            good.append((run, known[run["lineage"]]))
    return good


def same_weights(one, other):
    """Return True for runs that may be of the same weights: unknown, of equal files, or sharing a tenth of tensors."""
    mine, theirs = (run.get("weights") or {"tensors": []} for run in (one, other))
    if not mine["tensors"] or not theirs["tensors"] or one["artefact"] == other["artefact"] != "":
        return True
    mine, theirs = dict(mine["tensors"]), dict(theirs["tensors"])
    shared = sum(size for tensor, size in mine.items() if tensor in theirs)
    return shared * 10 > min(sum(mine.values()), sum(theirs.values()))


def _conflict(one, other):
    """Return True for runs that count as one: one model, a common ancestor, one base model, or the same weights."""
    (run, above), (peer, others) = one, other
    based = run.get("base_model") is not None and run.get("base_model") == peer.get("base_model")
    return run["model"] == peer["model"] or bool(above & others) or based or same_weights(run, peer)


def _apart(runs, wanted):
    """Find so many runs of which no two count as one. A run with all the conflicts of another is not tried."""
    conflicts = [
        {at for at, peer in enumerate(runs) if peer is run or _conflict(run, peer)} for run in runs
    ]
    least = []
    for place in sorted(range(len(runs)), key=lambda place: len(conflicts[place])):
        if not any(conflicts[other] <= conflicts[place] for other in least):
            least.append(place)

    def found(rest, wanted):
        after = (
            [other for other in rest[at:] if other not in conflicts[place]]
            for at, place in enumerate(rest)
        )
        return wanted == 0 or any(found(others, wanted - 1) for others in after)

    return found(least, wanted)


def check_log(lines, note, statement, digest):
    """The evaluator's whole log under its signed head, up to the opening under this statement. Its lines by hash."""
    name, public = (
        statement["evaluator"]["name"],
        unhex(statement["evaluator"]["report_pub"], 32, "a key"),
    )
    mine = [line for line in note[2] if line[0] == name]
    need(
        mine and all(signed_line(line, note[1], public) for line in mine),
        f"log.head.txt is not signed by {name}",
    )
    previous, log = GENESIS, {}
    for place, line in enumerate(lines):
        about = (line["evaluator"], line["index"], line["previous"])
        need(about == (name, place, previous), f"line {place} of the log does not follow")
        previous = leaf_hash(canonical(line)).hex()
        log[previous] = line
    wanted = (f"holdfast/log/{name}", len(log), tree_root(map(bytes.fromhex, log)), [])
    need(note[0] == wanted, "log.head.txt is over another log")
    about = {
        "kind": "opening",
        "set": statement["set"],
        "root": statement["root"],
        "statement": digest,
    }
    need(
        about.items() <= log.get(previous, {}).items(),
        "the log does not end with the opening under this statement",
    )
    return log


def check_runs(files, log, evidence, gone):
    """What was answered, against what the log committed to as each run ended, and against the evidence."""
    facts, closings = {run["run"]: run for run in evidence["runs"]}, {}
    for known, line in log.items():
        of_set = line["kind"] == "closing" and (line["set"], line["root"]) == (
            evidence["set"],
            evidence["root"],
        )
        if of_set and line["run"] in facts:
            need(
                known in facts[line["run"]]["closings"],
                f"the evidence lacks a closing of {line['run']}",
            )
            closings[line["run"]] = line
    released = {name[12:-6] for name in files if name.startswith("completions/")}
    need(released == set(closings), "completions are missing or too many")
    for run, closing in closings.items():
        outcomes = check_completions(files[f"completions/{run}.jsonl"], closing, run)
        held = facts[run].get("weights")
        of = (facts[run].get("artefact", ""), sha256(canonical(held)).hexdigest() if held else "")
        need(
            (closing.get("artefact", ""), closing.get("weights", "")) == of,
            f"{run} was of other weights",
        )
        fact, active = (
            facts[run],
            [outcome for index, outcome in outcomes.items() if index not in gone],
        )
        # fewer than n are here where another evaluator asked the rest; as many can only be the very same
        fits = len(active) < fact["n"] or (
            len(active) == fact["n"] and active.count(1) == fact["right"]
        )
        need(fits, f"the evidence counts {run} otherwise")


def check_completions(rows, closing, run):
    """The answers of a run against its closing; returns the outcomes by index."""
    leaves, outcomes = [], {row["index"]: row["outcome"] for row in rows}
    for row in rows:
        text = json.loads(row["text"])
        need(
            len(row) == 4 and json.dumps(text) == row["text"],
            f"an answer of {run} is not in canonical form",
        )
        answer = sha256(
            unhex(row["salt"], 32, "a salt") + text.encode("utf-8", "surrogatepass")
        ).hexdigest()
        leaves.append(
            leaf_hash(b"holdfast/outcome/v1\n" + canonical([row["index"], answer, row["outcome"]]))
        )
    need([row["index"] for row in rows] == sorted(outcomes), f"answers of {run} are out of order")
    need(
        tree_root(leaves) == closing["outcomes"],
        f"answers of {run} are not those that were committed to",
    )
    told = {"count": len(rows), "not_counted": list(outcomes.values()).count(NOT_COUNTED)}
    need(told.items() <= closing.items(), f"counts of {run} are not those of its closing")
    return outcomes


def verify(folder, root=None, manifest_file=None):
    """Check a bundle; returns what it is, in words. Raises :class:`Refused` with the first reason."""
    raw = check_contents(folder)
    files = {
        name: parse(name, data) for name, data in raw.items() if name.endswith((".json", ".jsonl"))
    }
    manifest, evidence, voted, seed = (
        files[f"{name}.json"] for name in ("manifest", "evidence", "statement", "seed")
    )
    need(
        set(voted) == {"statement", "votes"} and set(seed) == {"seed"},
        "the statement or the seed has other fields",
    )
    statement, text = voted["statement"], raw["contents.sig"].decode()
    key, signature = (
        unhex(statement["evaluator"]["report_pub"], 32, "a key"),
        unhex(text[:-1], 64, "contents.sig"),
    )
    whole = text.endswith("\n") and signed(
        key, b"holdfast/contents/v1\n" + raw["contents.json"], signature
    )
    need(whole, "contents.json is not signed")
    need(root in (None, manifest["root"]), "the root is not the one given by --root")
    need(
        manifest_file in (None, raw["manifest.json"]),
        "the manifest is not the one given by --manifest",
    )
    digest = check_manifest(manifest)
    gone = check_notices(files.get("notices.jsonl", []), manifest)
    check_head(read_note(raw["head.txt"], "head.txt"), manifest, digest)
    check_items(files["items.jsonl"], manifest, unhex(seed["seed"], 32, "the seed"))
    statement_digest = check_statement(voted["votes"], statement, manifest, digest, evidence)
    check_rule(manifest["rule"], evidence, statement["moment"])
    log = check_log(
        files["log.jsonl"],
        read_note(raw["log.head.txt"], "log.head.txt"),
        statement,
        statement_digest,
    )
    check_runs(files, log, evidence, gone)
    named = [one for run in evidence["runs"] for one in run["closings"]]
    here = f"{len(set(named) & set(log))} of the {len(named)} closings that its evidence names are in this log"
    return f"{manifest['n']} items of {manifest['name']}, root {manifest['root']}; {here}"


def main(argv=None):
    """Exit code 0 or 2."""
    parser = argparse.ArgumentParser(description="Verify a release of a sealed set.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", help="the root that was published before the first run")
    parser.add_argument(
        "--manifest", type=Path, help="the manifest that was published before the first run"
    )
    args = parser.parse_args(argv)
    try:
        found = verify(args.bundle, args.root, args.manifest and args.manifest.read_bytes())
    except (Refused, *MALFORMED) as no:
        why = no if isinstance(no, Refused) else f"the bundle is malformed ({type(no).__name__})"
        print(f"refused: {why}", file=sys.stderr)
        return 2
    print(f"verified: {found}")
    if args.root is None and args.manifest is None:
        print(
            "Compare this root with the one published before the first run, or give it with --root."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
