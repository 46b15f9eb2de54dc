#!/usr/bin/env python3
"""Verify a release of a sealed set, without trusting whoever published it. One file, standard library only.

    python3 verify_release.py BUNDLE [--root HEX] [--manifest FILE]

Exit code 0 only if all holds: the items and salts hash to the published leaves and root; the seed deals them to
these places; enough maintainers signed this release of this set on this evidence; the evidence meets the rule; the
log of the evaluator is whole and says so first; what models answered is what was committed to when their runs ended;
nothing is missing, added or changed. Else 2, and the first reason. ``--root`` and ``--manifest`` compare with what was
published before the first run: keep them, or ask somebody who did.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

REQUIRED = {
    "statement.json", "manifest.json", "evidence.json", "seed.json", "items.jsonl", "log.jsonl", "log.head.txt",
    "LICENSE.txt", "README.md", "verify_release.py", "contents.json", "contents.sig",
}  # fmt: skip
OPTIONAL = {"head.txt", "notices.jsonl"}
OUTCOMES = ("right", "wrong", "no_answer", "truncated", "not_counted")
GENESIS = "0" * 64


class Refused(Exception):
    """Something does not hold."""


def need(holds, reason):
    """Raise :class:`Refused` unless it holds."""
    if not holds:
        raise Refused(reason)


# --- Ed25519, verification only (RFC 8032, section 5.1.7 and 6)

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(k, point):
    result = (0, 1, 1, 0)
    while k:
        if k & 1:
            result = _add(result, point)
        point = _add(point, point)
        k >>= 1
    return result


def _point(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    """Whether the signature (64 bytes) over the message was made by the public key (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = _point(public), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = _times(s, BASE), _add(r, _times(h, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- canonical JSON, hashes, the tree of RFC 6962


def canonical(value):
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse(line, what):
    """The value of a line that is canonical JSON with an end of line, and nothing else."""
    try:
        value = json.loads(line)
        exact = canonical(value) + b"\n" == line
    except (ValueError, RecursionError, UnicodeError):
        raise Refused(f"{what} is not JSON in UTF-8") from None
    need(exact, f"{what} is not in canonical form")
    return value


def unhex(text, size, what):
    """Bytes of so many, from lower-case hexadecimal."""
    good = isinstance(text, str) and re.fullmatch("[0-9a-f]{" + str(2 * size) + "}", text)
    need(good, f"{what} is not {size} bytes in hexadecimal")
    return bytes.fromhex(text)


def leaf_hash(data):
    """SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def tree_root(leaves):
    """RFC 6962, 2.1."""
    level = list(leaves)
    while len(level) > 1:
        paired = range(0, len(level) - 1, 2)
        above = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in paired]
        level = above + level[2 * len(above) :]
    return level[0] if level else hashlib.sha256(b"").digest()


# --- signed notes


def read_note(text, what):
    """(origin, size, root, further lines), the signed body, and [(name, key id, data)]."""
    body, blank, below = text.rpartition("\n\n")
    need(blank and below.endswith("\n"), f"{what} is not a signed note")
    lines = body.split("\n")
    need(len(lines) >= 3 and re.fullmatch(r"0|[1-9][0-9]*", lines[1]), f"{what} is not a tree head")
    found = []
    for line in below[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})", line)
        need(match, f"{what} has a malformed signature line")
        found.append((match[1], *_split(match[2], what)))
    return (lines[0], int(lines[1]), _base64(lines[2], what), lines[3:]), (body + "\n").encode(), found


def _base64(text, what):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    need(base64.b64encode(raw).decode() == text and raw, f"{what} has malformed base64")
    return raw


def _split(text, what):
    raw = _base64(text, what)
    return raw[:4], raw[4:]


def key_id(name, public, kind):
    """C2SP signed-note: the first four bytes of SHA-256(name, newline, kind, key)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def note_signed_by(note, name, public, what):
    """Raise unless this key signed the note."""
    _, body, found = note
    mine = [data for whose, known, data in found if (whose, known) == (name, key_id(name, public, b"\x01"))]
    need(mine and all(signed(public, body, data) for data in mine), f"{what} is not signed by {name}")


# --- the parts of a release


def check_contents(folder):
    """Every file's bytes, once they are the ones that contents.json lists and its signature covers."""
    files = {}
    for path in sorted(folder.rglob("*")):
        need(not path.is_symlink(), f"{path.name} is a link")
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    runs = {name for name in files if re.fullmatch(r"completions/[0-9a-f-]{36}\.jsonl", name)}
    need(set(files) >= REQUIRED and set(files) <= REQUIRED | OPTIONAL | runs, "a file is missing or one too many")
    listed = parse(files["contents.json"], "contents.json")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    del digests["contents.json"], digests["contents.sig"]
    need(listed == digests, "a file is not the one that contents.json lists")
    return files


def check_manifest(manifest, notices):
    """The manifest against itself; returns its leaf hash."""
    leaves = [unhex(leaf, 32, "a leaf") for leaf in manifest["leaves"]]
    need(len(leaves) == manifest["n"] and tree_root(leaves).hex() == manifest["root"], "the root is not its leaves'")
    start, blocks = 0, manifest["blocks"]
    for block in blocks:
        need(block["start"] == start and block["n"] >= 1, "the blocks do not cover the set")
        need(block["stratum"] in ("exposed", "local", "spare"), "a block has an unknown stratum")
        start += block["n"]
    exposed = {block["id"]: block["n"] for block in blocks if block["stratum"] == "exposed"}
    need(start == manifest["n"] and len({block["id"] for block in blocks}) == len(blocks), "the blocks overlap")
    seasons = manifest["seasons"]
    fit = len(set(seasons)) == len(seasons) and set(seasons) <= set(exposed)
    need(fit and manifest["cap"] == sum(exposed[one] for one in seasons), "the seasons do not fit the blocks")
    people = manifest["maintainers"] + manifest["witnesses"]
    for field in ("name", "public"):
        need(len({one[field] for one in people}) == len(people), "a maintainer or witness is named twice")
    need(1 <= manifest["quorum"] <= len(manifest["maintainers"]), "the quorum cannot be reached")
    keys = {one["name"]: unhex(one["public"], 32, "a key") for one in manifest["maintainers"]}
    previous = GENESIS
    for place, notice in enumerate(notices):
        body = {name: value for name, value in notice.items() if name != "signature"}
        about = (notice["set"], notice["root"], notice["index"], notice["previous"])
        need(about == (manifest["name"], manifest["root"], place, previous), f"notice {place} does not follow")
        message = b"holdfast/notice/v1\n" + canonical(body)
        signature = unhex(notice["signature"], 64, "a signature")
        need(signed(keys.get(notice["maintainer"], b""), message, signature), f"notice {place} is not signed")
        previous = leaf_hash(canonical(notice)).hex()
    return leaf_hash(canonical(manifest)).hex()


def check_head(text, manifest, digest):
    """The set's tree head as it was published: by a maintainer, over this manifest, cosigned as it says."""
    note = read_note(text, "head.txt")
    origin, size, root, further = note[0]
    same = (origin, size, root.hex(), further) == (
        f"holdfast/set/{manifest['name']}",
        manifest["n"],
        manifest["root"],
        [digest],
    )
    need(same, "head.txt is of another set")
    names = {whose for whose, _, _ in note[2]}
    signers = [one for one in manifest["maintainers"] if one["name"] in names]
    need(signers, "head.txt is signed by no maintainer")
    for one in signers:
        note_signed_by(note, one["name"], bytes.fromhex(one["public"]), "head.txt")
    witnesses = {one["name"]: unhex(one["public"], 32, "a key") for one in manifest["witnesses"]}
    allowed = {one["name"] for one in signers} | set(witnesses)
    need(names <= allowed and len(note[2]) == len(names), "head.txt has a signature by somebody else")
    for whose, known, data in note[2]:
        if whose in witnesses:
            message = b"cosignature/v1\ntime %d\n" % int.from_bytes(data[:8], "big") + note[1]
            right_key = known == key_id(whose, witnesses[whose], b"\x04")
            need(right_key and signed(witnesses[whose], message, data[8:]), f"head.txt: {whose} did not cosign it")


def check_items(lines, manifest, seed):
    """Items and salts against the leaves, and their places against the deal from the seed."""
    commits = hashlib.sha256(b"holdfast/seed/v1\n" + seed).hexdigest()
    need(commits == manifest["seed_hash"], "the seed is not the one that was committed to")
    need(len(lines) == manifest["n"], "items are missing or too many")
    records = []
    for index, line in enumerate(lines):
        item = parse(line, f"item {index}")
        need(
            set(item) == {"index", "salt", "question", "answer"} and item["index"] == index,
            f"item {index} is out of place",
        )
        record = canonical({"question": item["question"], "answer": item["answer"]})
        info = canonical({"domain": "holdfast/salt/v1", "set": manifest["name"], "index": index})
        salt = hmac.new(seed, info + b"\x01", hashlib.sha256).digest()
        need(item["salt"] == salt.hex(), f"item {index} has a salt that is not the seed's")
        leaf = leaf_hash(b"holdfast/item/v1\n" + salt + record).hex()
        need(leaf == manifest["leaves"][index], f"item {index} is not the one that was committed to")
        records.append((_kind(item["answer"]), hmac.new(seed, record, hashlib.sha256).digest(), index))
    pattern = sorted(
        (Fraction(2 * k + 1, 2 * block["n"]), block["id"]) for block in manifest["blocks"] for k in range(block["n"])
    )
    dealt = {block["id"]: [] for block in manifest["blocks"]}
    for (_, key, index), (_, block) in zip(sorted(records), pattern):
        dealt[block].append((key, index))
    places = [index for block in manifest["blocks"] for _, index in sorted(dealt[block["id"]])]
    need(places == list(range(manifest["n"])), "the items lie where the seed did not deal them")


def _kind(answer):
    gold = answer.split("####")[-1].strip().replace(",", "").lstrip("-\u2212")
    return answer.count("<<"), max(1, len(gold.partition(".")[0].lstrip("0")))


def check_statement(signed_statement, manifest, digest, evidence):
    """The release statement is about these files, and enough maintainers signed it."""
    statement = signed_statement["statement"]
    wanted = {
        "set": manifest["name"],
        "root": manifest["root"],
        "manifest": digest,
        "rule": hashlib.sha256(canonical(manifest["rule"])).hexdigest(),
        "evidence": hashlib.sha256(canonical(evidence)).hexdigest(),
    }
    for name, value in wanted.items():
        need(statement[name] == value, f"the statement is about another {name}")
    need((evidence["set"], evidence["root"]) == (manifest["name"], manifest["root"]), "the evidence is of another set")
    message = b"holdfast/release/v1\n" + canonical(statement)
    keys = {one["name"]: bytes.fromhex(one["public"]) for one in manifest["maintainers"]}
    votes = signed_statement["votes"]
    need(len({vote["maintainer"] for vote in votes}) == len(votes), "a maintainer voted twice")
    for vote in votes:
        key = keys.get(vote["maintainer"], b"")
        need(signed(key, message, unhex(vote["signature"], 64, "a vote")), f"{vote['maintainer']} did not sign this")
    need(len(votes) >= manifest["quorum"], f"{len(votes)} of {manifest['quorum']} maintainers signed")
    return statement, leaf_hash(message).hex()


def check_rule(rule, evidence, moment):
    """The evidence meets the rule at the moment of the statement."""
    for clause in rule["any_of"]:
        if clause["kind"] == "date":
            met = _moment(moment) >= _moment(clause["moment"])
        else:
            met = _disjoint(_good(clause, evidence), clause["models"])
        if met:
            return
    raise Refused("the evidence does not meet the release rule")


def _moment(text):
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    try:
        return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
    except ValueError:
        raise Refused("a moment that no calendar has") from None


def _good(clause, evidence):
    """The ancestries of the models that have enough right, by model."""
    parents = {}
    for fact in evidence["lineages"]:
        parents.setdefault(fact["name"], []).append(frozenset(fact["parents"]))
    known = {}
    for _ in range(len(parents) + 1):
        for name, told in parents.items():
            if len(set(told)) == 1 and told[0] <= set(known):
                known[name] = frozenset([name]).union(*(known[one] for one in told[0]))
    told_of = {}
    for run in evidence["runs"]:
        told_of.setdefault(run["model"], set()).add(run["lineage"])
    good = {}
    for run in evidence["runs"]:
        sound = (
            run["complete"] and run["current"] and not run["retracted"] and not run["flagged"] and run["tier"] == "T0"
        )
        whole = 0 < run["n"] == run["assigned"] and run["right"] <= run["n"]
        enough = run["right"] * clause["denominator"] >= clause["numerator"] * run["n"]
        free = run["open_weights"] or not clause["open_weights"]
        if sound and whole and enough and free and run["lineage"] in known and len(told_of[run["model"]]) == 1:
            good[run["model"]] = known[run["lineage"]]
    return list(good.values())


def _disjoint(sets, wanted):
    """Whether so many of the sets have no element in common, two by two."""
    if wanted == 0:
        return True
    least = [
        one
        for place, one in enumerate(sets)
        if not any(other < one or (other == one and k < place) for k, other in enumerate(sets))
    ]
    for place, one in enumerate(least):
        if _disjoint([other for other in least[place + 1 :] if not other & one], wanted - 1):
            return True
    return False


def check_log(lines, note_text, statement, digest, manifest):
    """The evaluator's whole log under its signed head, with the opening under this statement; returns its lines."""
    name, public = statement["evaluator"]["name"], unhex(statement["evaluator"]["report_pub"], 32, "a key")
    note = read_note(note_text, "log.head.txt")
    note_signed_by(note, name, public, "log.head.txt")
    previous, hashes, log = GENESIS, [], []
    for place, raw in enumerate(lines):
        line = parse(raw, f"line {place} of the log")
        follows = (line["evaluator"], line["index"], line["previous"]) == (name, place, previous)
        need(follows, f"line {place} of the log does not follow")
        hashes.append(leaf_hash(canonical(line)))
        previous = hashes[-1].hex()
        log.append(line)
    head = (f"holdfast/log/{name}", len(log), tree_root(hashes), [])
    need(note[0] == head, "log.head.txt is over another log")
    opening = log[-1] if log else {}
    about = {"kind": "opening", "set": manifest["name"], "root": manifest["root"], "statement": digest}
    need(about.items() <= opening.items(), "the log does not end with the opening under this statement")
    return log


def check_completions(files, log, evidence, manifest):
    """What was answered against what was committed to when the runs ended, and against the evidence."""
    closings = {}
    for line in log:
        if line["kind"] == "closing" and (line["set"], line["root"]) == (manifest["name"], manifest["root"]):
            closings[line["run"]] = line
    released = {name[12:-6] for name in files if name.startswith("completions/")}
    need(released == closings.keys() & {run["run"] for run in evidence["runs"]}, "completions are missing or too many")
    for run in sorted(released):
        rows = [
            parse(raw, f"completions of {run}") for raw in files[f"completions/{run}.jsonl"].splitlines(keepends=True)
        ]
        leaves, counts = [], dict.fromkeys(OUTCOMES, 0)
        for row in rows:
            salted = unhex(row["salt"], 32, "a salt") + json.loads(row["text"]).encode("utf-8", "surrogatepass")
            counts[OUTCOMES[row["outcome"] - 1]] += 1
            answer = hashlib.sha256(salted).hexdigest()
            leaves.append(leaf_hash(b"holdfast/outcome/v1\n" + canonical([row["index"], answer, row["outcome"]])))
        closing = closings[run]
        need(
            [row["index"] for row in rows] == sorted({row["index"] for row in rows}),
            f"completions of {run} are out of order",
        )
        need(
            tree_root(leaves).hex() == closing["outcomes"], f"completions of {run} are not those that were committed to"
        )
        need({**counts, "count": len(rows)}.items() <= closing.items(), f"counts of {run} are not those of its closing")


def verify(folder, root=None, manifest_file=None):
    """Check a bundle; returns its manifest. Raises :class:`Refused` with the first reason."""
    files = check_contents(folder)
    lines = {name: data.splitlines(keepends=True) for name, data in files.items() if name.endswith(".jsonl")}
    one = {name: parse(files[name], name) for name in ("statement.json", "manifest.json", "evidence.json", "seed.json")}
    manifest, evidence = one["manifest.json"], one["evidence.json"]
    need(root is None or manifest["root"] == root, "the root is not the one given by --root")
    need(
        manifest_file is None or manifest_file == files["manifest.json"],
        "the manifest is not the one given by --manifest",
    )
    notices = [parse(raw, "a notice") for raw in lines.get("notices.jsonl", [])]
    digest = check_manifest(manifest, notices)
    if "head.txt" in files:
        check_head(files["head.txt"].decode(), manifest, digest)
    check_items(lines["items.jsonl"], manifest, unhex(one["seed.json"]["seed"], 32, "the seed"))
    statement, statement_digest = check_statement(one["statement.json"], manifest, digest, evidence)
    need(_moment(statement["moment"]) <= datetime.now(timezone.utc), "the statement is from the future")
    check_rule(manifest["rule"], evidence, statement["moment"])
    signature = unhex(files["contents.sig"].decode().removesuffix("\n"), 64, "contents.sig")
    key = unhex(statement["evaluator"]["report_pub"], 32, "a key")
    need(signed(key, b"holdfast/contents/v1\n" + files["contents.json"], signature), "contents.json is not signed")
    need(files["contents.sig"] == signature.hex().encode() + b"\n", "contents.sig is not in its one form")
    log = check_log(lines["log.jsonl"], files["log.head.txt"].decode(), statement, statement_digest, manifest)
    check_completions(files, log, evidence, manifest)
    return manifest


def main(argv=None):
    """Exit code 0 or 2."""
    parser = argparse.ArgumentParser(description="Verify a release of a sealed set.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", help="the root that was published before the first run")
    parser.add_argument("--manifest", type=Path, help="the manifest that was published before the first run")
    args = parser.parse_args(argv)
    try:
        kept = args.manifest.read_bytes() if args.manifest else None
        manifest = verify(args.bundle, args.root, kept)
    except Refused as reason:
        print(f"refused: {reason}", file=sys.stderr)
        return 2
    except (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError) as failure:
        print(f"refused: the bundle is malformed ({type(failure).__name__})", file=sys.stderr)
        return 2
    print(f"verified: {manifest['n']} items of {manifest['name']}, root {manifest['root']}")
    if args.root is None and args.manifest is None:
        print("Compare this root with the one published before the first run, or give it with --root.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
