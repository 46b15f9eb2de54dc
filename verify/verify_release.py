#!/usr/bin/env python3
"""Verify the release of a sealed set, without trusting its publisher.

    python3 verify_release.py BUNDLE [--root HEX] [--manifest FILE]

One file, Python 3.8 or newer, standard library only. BUNDLE is the folder of the released bundle.
--root and --manifest compare it with what was published before the first run: keep them, or ask an
observer who did. Without one of them the bundle proves only that it agrees with itself.

Steps, in this order; the first check that fails ends the program with its finding of ``FINDINGS``:

1. ``check_contents``     The files are exactly those that contents.json lists, signed by the
                          evaluator that made the bundle (Ed25519, RFC 8032).
2. ``check_manifest``     The manifest fits itself: its root is that of its leaves (RFC 6962), its
                          blocks cover the set, its maintainers can reach the quorum.
3. ``check_notices``      Maintainers' notices on the set are signed and chained: which items no
                          longer count.
4. ``check_head``         The set's head is over this manifest (C2SP tlog-checkpoint), signed by a
                          maintainer, and cosigned by each witness it names (C2SP tlog-cosignature).
5. ``check_items``        Items and salts hash to the leaves, in the places that the seed deals.
6. ``check_statement``    The release statement is about these files, and a quorum signed it.
7. ``check_rule``         The evidence meets the release rule at the moment of the statement.
8. ``check_log``          The evaluator's whole log is chained under its signed head, and ends with
                          the opening of this set under this statement.
9. ``check_runs``         What models answered is what the log committed to as each run ended, and
                          what the evidence counts.

Exit status 0: all holds. 2: the bundle is refused; the finding is a code and a sentence.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

STATUS_VERIFIED = 0
STATUS_REFUSED = 2  # with each finding of the table below

FINDINGS = {
    # Any step
    "malformed": "the bundle is malformed ({error})",
    "not_canonical": "{file} is not in canonical form",
    "not_hexadecimal": "{what} is not {size} bytes in hexadecimal",
    "note_malformed": "{file} is not a signed note",
    "note_line_malformed": "{file} has a malformed signature line",
    "note_base64_malformed": "{file} has malformed base64",
    # 1. Contents
    "not_a_plain_file": "{file} is not a plain file",
    "files_differ": "a file is missing or one too many",
    "contents_differ": "a file is not the one that contents.json lists",
    "fields_differ": "the statement or the seed has other fields",
    "contents_unsigned": "contents.json is not signed",
    "root_not_given": "the root is not the one given by --root",
    "manifest_not_given": "the manifest is not the one given by --manifest",
    # 2. Manifest
    "root_differs": "the root is not its leaves'",
    "kind_misfit": "the manifest names an unknown kind of items, or one that its version lacks",
    "blocks_uncovered": "the blocks do not cover the set",
    "block_twice": "two blocks have one name",
    "stratum_unknown": "a block has an unknown stratum",
    "seasons_misfit": "the seasons do not fit the blocks",
    "stages_misfit": "the stages do not divide the exposed blocks among them",
    "party_twice": "a maintainer or witness is named twice",
    "quorum_unreachable": "the quorum cannot be reached",
    # 3. Notices
    "notice_broken": "notice {place} does not follow",
    "notice_unsigned": "notice {place} is not signed",
    # 4. Head of the set
    "head_differs": "head.txt is of another set",
    "head_without_maintainer": "head.txt is signed by no maintainer",
    "head_signer_unknown": "head.txt has a signature by another party",
    "head_unsigned": "head.txt: {name} did not sign it",
    # 5. Items
    "seed_differs": "the seed is another one",
    "items_missing": "items are missing or too many",
    "item_misplaced": "item {index} is out of place",
    "kind_differs": "item {index} is not of the kind that the manifest names",
    "salt_differs": "item {index} has a salt that is not the seed's",
    "item_differs": "item {index} is not the one that was committed to",
    "deal_differs": "the items lie where the seed did not deal them",
    # 6. Statement
    "statement_differs": "the statement is about another {what}",
    "evidence_differs": "the evidence is of another set",
    "statement_from_future": "the statement is from the future",
    "vote_twice": "a maintainer voted twice",
    "vote_unsigned": "{name} did not sign this",
    "quorum_missed": "{votes} of {quorum} maintainers signed",
    # 7. Rule
    "run_twice": "the evidence lists a run twice",
    "rule_unmet": "the evidence does not meet the release rule",
    # 8. Log
    "log_head_unsigned": "log.head.txt is not signed by {name}",
    "line_broken": "line {place} of the log does not follow",
    "log_head_differs": "log.head.txt is over another log",
    "opening_missing": "the log does not end with the opening under this statement",
    # 9. Runs
    "closing_missing": "the evidence lacks a closing of {run}",
    "completions_differ": "completions are missing or too many",
    "answer_not_canonical": "an answer of {run} is not in canonical form",
    "answers_out_of_order": "answers of {run} are out of order",
    "answers_differ": "answers of {run} are not those that were committed to",
    "counts_differ": "counts of {run} are not those of its closing",
    "weights_differ": "{run} was of other weights",
    "score_differs": "the evidence counts {run} otherwise",
}

REQUIRED = {
    *("statement.json", "manifest.json", "evidence.json", "seed.json", "items.jsonl", "log.jsonl"),
    *("log.head.txt", "head.txt", "contents.json", "contents.sig"),
    *("LICENSE.txt", "README.md", "verify_release.py"),
}
OPTIONAL = re.compile(r"completions/[0-9a-f-]{36}\.jsonl|notices\.jsonl")
STRATA = {"exposed", "local", "spare"}
KINDS = {"number", "expression", "choice", "program", "tests"}  # of items
USUAL_CELL = 100  # smallest number of items that anything is published over, unless a manifest says
GENESIS = "0" * 64  # stands for the hash of the line before the first
RIGHT = 1  # outcome of an item
NOT_COUNTED = 5  # outcome of an item that failed for reasons of the infrastructure
MALFORMED = (  # raised where a file does not have the form that the evaluator writes
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


class Refused(Exception):
    """Finding that ends the program; its text is the sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def need(holds: object, code: str, **details: object) -> None:
    """Raise :class:`Refused` with the finding unless it holds."""
    if not holds:
        raise Refused(code, FINDINGS[code].format(**details))


# --- Ed25519, verification only (RFC 8032, sections 5.1.3 and 5.1.7)

P = 2**255 - 19  # order of the field
Q = 2**252 + 27742317777372353535851937790883648493  # order of the base point
D = -121665 * pow(121666, P - 2, P) % P  # constant of the curve
NEUTRAL = (0, 1, 1, 0)  # the neutral element in extended coordinates (X, Y, Z, T)

if TYPE_CHECKING:
    from collections.abc import Iterable

    Json = dict[str, Any]  # a JSON object, whose fields are checked as they are read
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


def multiply(scalar: int, point: Point) -> Point:
    """Return the multiple of a point, by doubling and adding."""
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def equal(p: Point, q: Point) -> bool:
    """Return True for the same point: X/Z and Y/Z agree."""
    x_difference = p[0] * q[2] - q[0] * p[2]
    y_difference = p[1] * q[2] - q[1] * p[2]
    return x_difference % P == 0 and y_difference % P == 0


BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)  # the base point (RFC 8032, section 5.1)


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return True where the key (32 bytes) signed the message (signature: 64 bytes).

    RFC 8032, section 5.1.7, without the cofactor: S·B = R + k·A. A key of small order is refused,
    because it would accept one signature for every message.
    """
    if len(public) != 32 or len(signature) != 64:
        return False
    key = decode_point(public)
    commitment = decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None:
        return False
    if s >= Q or multiply(8, key)[0] == 0:
        return False
    challenge = sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(challenge, "little") % Q
    right_side = add(commitment, multiply(k, key))
    return equal(multiply(s, BASE), right_side)


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


def parse(name: str, data: bytes) -> Any:
    """Return the value of a file of canonical JSON; of ``.jsonl``, a list of its lines' values."""
    of_lines = name.endswith(".jsonl")
    lines = data.splitlines(keepends=True) if of_lines else [data]
    values = [json.loads(line) for line in lines]
    exact = [canonical(value) + b"\n" for value in values]
    need(exact == lines, "not_canonical", file=name)
    return values if of_lines else values[0]


def unhex(text: str, size: int, what: str) -> bytes:
    """Return so many bytes from lower-case hexadecimal."""
    hexadecimal = re.fullmatch("[0-9a-f]*", text)
    exact = hexadecimal and len(text) == 2 * size
    need(exact, "not_hexadecimal", what=what, size=size)
    return bytes.fromhex(text)


def moment_of(text: str) -> datetime:
    """Return the moment in UTC that a text names, with or without a fraction of a second."""
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc)


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return sha256(canonical(value)).hexdigest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + data).digest()


def tree_root(leaves: Iterable[bytes]) -> str:
    """Return the root over leaf hashes, in hexadecimal (RFC 6962, section 2.1).

    Nodes are paired level by level; the last of an odd number goes up as it is.
    """
    level = list(leaves) or [sha256(b"").digest()]
    while len(level) > 1:
        above = []
        for left, right in zip(level[::2], level[1::2]):
            node = sha256(b"\x01" + left + right)
            above.append(node.digest())
        last = level[len(above) * 2 :]
        level = above + last
    return level[0].hex()


ED25519 = b"\x01"  # kind of a signature by a log or a maintainer (C2SP signed-note)
COSIGNATURE = b"\x04"  # kind of a signature by a witness, with its time (C2SP tlog-cosignature)
SIGNATURE_LINE = re.compile("\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})")


class Head(NamedTuple):
    """Text of a tree head: C2SP tlog-checkpoint. ``root`` is hexadecimal."""

    origin: str
    size: int
    root: str
    extensions: list[str]


class NoteSignature(NamedTuple):
    """Signature line of a note: a name, the first four bytes of the key's hash, and the rest."""

    name: str
    key_id: bytes
    data: bytes


class Note(NamedTuple):
    """C2SP signed note, nothing of it verified yet. ``body`` is the text that is signed."""

    head: Head
    body: bytes
    signatures: list[NoteSignature]


def read_note(data: bytes, file: str) -> Note:
    """Return the note in a file."""
    body, blank, below = data.decode().rpartition("\n\n")
    lines = body.split("\n")
    whole = blank and len(lines) >= 3 and below.endswith("\n")
    need(whole, "note_malformed", file=file)
    origin, size, root, *extensions = lines
    need(re.fullmatch("0|[1-9][0-9]*", size), "note_malformed", file=file)
    matches = [SIGNATURE_LINE.fullmatch(line) for line in below[:-1].split("\n")]
    need(all(matches), "note_line_malformed", file=file)
    root_hex = decode_base64(root, file).hex()
    signatures = []
    for match in filter(None, matches):
        raw = decode_base64(match[2], file)
        signatures.append(NoteSignature(match[1], raw[:4], raw[4:]))
    text = body + "\n"
    return Note(Head(origin, int(size), root_hex, extensions), text.encode(), signatures)


def decode_base64(text: str, file: str) -> bytes:
    """Return the bytes of base64 in its one exact form."""
    raw = base64.b64decode(text)
    need(base64.b64encode(raw).decode() == text, "note_base64_malformed", file=file)
    return raw


def signed_note(note: Note, line: NoteSignature, public: bytes, kind: bytes = ED25519) -> bool:
    """Return True where the key made this signature; a cosignature has its own time."""
    key_id = sha256(line.name.encode() + b"\n" + kind + public).digest()[:4]
    if line.key_id != key_id:
        return False
    message = note.body
    signature = line.data
    if kind == COSIGNATURE:
        seconds = int.from_bytes(signature[:8], "big")
        message = b"cosignature/v1\ntime %d\n" % seconds + message
        signature = signature[8:]
    return signed(public, message, signature)


def keys_of(parties: list[Json]) -> dict[str, bytes]:
    """Return the public keys of maintainers or witnesses, by name."""
    keys = {}
    for party in parties:
        keys[party["name"]] = unhex(party["public"], 32, "a key")
    return keys


# --- 1. Contents


def check_contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, once they are the ones that contents.json lists."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_folder = path.is_dir() and name == "completions"
        plain = (path.is_file() or is_folder) and not path.is_symlink()
        need(plain, "not_a_plain_file", file=path.name)
        if path.is_file():
            files[name] = path.read_bytes()
    optional = {name for name in files if OPTIONAL.fullmatch(name)}
    need(REQUIRED <= set(files) <= REQUIRED | optional, "files_differ")
    digests = {}
    for name, data in files.items():
        if not name.startswith("contents."):
            digests[name] = sha256(data).hexdigest()
    contents = parse("contents.json", files["contents.json"])
    need(contents == digests, "contents_differ")
    return files


def check_contents_signature(raw: dict[str, bytes], statement: Json) -> None:
    """Check that the evaluator that the statement names signed the list of contents."""
    public = unhex(statement["evaluator"]["report_pub"], 32, "a key")
    text = raw["contents.sig"].decode()
    signature = unhex(text[:-1], 64, "contents.sig")
    message = b"holdfast/contents/v1\n" + raw["contents.json"]
    good = text.endswith("\n") and signed(public, message, signature)
    need(good, "contents_unsigned")


# --- 2. Manifest


def check_manifest(manifest: Json) -> str:
    """Check the manifest against itself; return its leaf hash, by which signatures name it."""
    leaves = manifest["leaves"]
    need(len(leaves) == manifest["n"], "root_differs")
    root = tree_root(unhex(leaf, 32, "a leaf") for leaf in leaves)
    need(root == manifest["root"], "root_differs")
    kinds = KINDS if manifest.get("version", 2) >= 4 else {None}
    need(manifest.get("kind") in kinds, "kind_misfit")
    check_blocks(manifest)
    check_seasons(manifest)
    check_parties(manifest)
    return leaf_hash(canonical(manifest)).hex()


def check_blocks(manifest: Json) -> None:
    """Check that blocks of different names and known strata cover the set in order."""
    blocks = manifest["blocks"]
    end = 0
    for block in blocks:
        need(block["start"] == end and block["n"] >= 1, "blocks_uncovered")
        end += block["n"]
    need(end == manifest["n"], "blocks_uncovered")
    ids = {block["id"] for block in blocks}
    need(len(ids) == len(blocks), "block_twice")
    strata = {block["stratum"] for block in blocks}
    need(strata <= STRATA, "stratum_unknown")


def check_seasons(manifest: Json) -> None:
    """Check that the seasons are different exposed blocks, and that the cap is their items.

    The stages, if there are any, divide the exposed blocks among them.
    """
    exposed = {}
    for block in manifest["blocks"]:
        if block["stratum"] == "exposed":
            exposed[block["id"]] = block["n"]
    seasons = manifest["seasons"]
    once = len(set(seasons)) == len(seasons)
    need(once and set(seasons) <= set(exposed), "seasons_misfit")
    items = sum(exposed[season] for season in seasons)
    need(manifest["cap"] == items, "seasons_misfit")
    stages = manifest.get("stages", [list(exposed)])
    staged = [block for stage in stages for block in stage]
    need(sorted(staged) == sorted(exposed), "stages_misfit")


def check_parties(manifest: Json) -> None:
    """Check that parties have different names and keys, and that the quorum can be reached."""
    parties = manifest["maintainers"] + manifest["witnesses"]
    for field in ("name", "public"):
        values = {party[field] for party in parties}
        need(len(values) == len(parties), "party_twice")
    reachable = 1 <= manifest["quorum"] <= len(manifest["maintainers"])
    need(reachable, "quorum_unreachable")


# --- 3. Notices


def check_notices(notices: list[Json], manifest: Json) -> set[int]:
    """Check that notices are chained and signed; return the indices of items that do not count."""
    keys = keys_of(manifest["maintainers"])
    previous = GENESIS
    named = []
    for place, notice in enumerate(notices):
        about = (notice["set"], notice["root"], notice["index"], notice["previous"])
        follows = about == (manifest["name"], manifest["root"], place, previous)
        need(follows, "notice_broken", place=place)
        message = b"holdfast/notice/v1\n" + without(notice, "signature")
        key = keys.get(notice["maintainer"], b"")
        signature = unhex(notice["signature"], 64, "a signature")
        need(signed(key, message, signature), "notice_unsigned", place=place)
        named.append(items_named(notice, manifest))
        previous = leaf_hash(canonical(notice)).hex()
    return retired(manifest, named)


def items_named(notice: Json, manifest: Json) -> set[int]:
    """Return the indices that a notice is about: a block, an item, or the whole set."""
    blocks = {}
    for block in manifest["blocks"]:
        start = block["start"]
        blocks[block["id"]] = range(start, start + block["n"])
    named: dict[str, Any] = {
        "retire_block": blocks.get(notice["block"]),
        "erratum": [notice["item"]],
        "compromise": range(manifest["n"]),
    }
    return set(named[notice["kind"]])


def retired(manifest: Json, named: list[set[int]]) -> set[int]:
    """Return the indices that do not count after notices on these items.

    In each part of the set (a season, or the rest of a stage or of a stratum), named items wait
    until they are all that is left of it, or a cell of items that leaves at least another cell.
    Then they are retired.
    """
    seasons = manifest["seasons"]
    cell = manifest.get("cell", USUAL_CELL)
    part_of: dict[int, object] = {}
    for number, stage in enumerate(manifest.get("stages", [])):
        part_of.update(dict.fromkeys(stage, ("stage", number)))
    part_of.update((block, ("season", block)) for block in seasons)
    parts: dict[object, set[int]] = {}
    for block in manifest["blocks"]:
        part = part_of.get(block["id"], block["stratum"])
        indices = range(block["start"], block["start"] + block["n"])
        parts.setdefault(part, set()).update(indices)
    gone: set[int] = set()
    for part_items in parts.values():
        left = set(part_items)
        waiting: set[int] = set()
        for items in named:
            waiting |= left & items
            both_are_cells = cell <= len(waiting) <= len(left) - cell
            if waiting == left or both_are_cells:
                gone |= waiting
                left -= waiting
                waiting = set()
    return gone


# --- 4. Head of the set


def check_head(note: Note, manifest: Json, hashed: str) -> None:
    """Check the set's head as it was published: over this manifest, and signed as it says."""
    origin = f"holdfast/set/{manifest['name']}"
    expected = Head(origin, manifest["n"], manifest["root"], [hashed])
    need(note.head == expected, "head_differs")
    maintainers = keys_of(manifest["maintainers"])
    witnesses = keys_of(manifest["witnesses"])
    names = [line.name for line in note.signatures]
    need(set(names) & set(maintainers), "head_without_maintainer")
    once = len(set(names)) == len(names)
    known = set(names) <= {*maintainers, *witnesses}
    need(once and known, "head_signer_unknown")
    for line in note.signatures:
        if line.name in maintainers:
            good = signed_note(note, line, maintainers[line.name])
        else:
            good = signed_note(note, line, witnesses[line.name], COSIGNATURE)
        need(good, "head_unsigned", name=line.name)


# --- 5. Items


def check_items(items: list[Json], manifest: Json, seed: bytes) -> None:
    """Check that each item, with the salt that the seed gives, hashes to the leaf of its index."""
    seed_hash = sha256(b"holdfast/seed/v1\n" + seed).hexdigest()
    need(seed_hash == manifest["seed_hash"], "seed_differs")
    need(len(items) == manifest["n"], "items_missing")
    kind = manifest.get("kind", "number")
    for index, item in enumerate(items):
        need(item["index"] == index, "item_misplaced", index=index)
        need(item.get("kind", "number") == kind, "kind_differs", index=index)
        info = {"domain": "holdfast/salt/v1", "set": manifest["name"], "index": index}
        salt = hmac.digest(seed, canonical(info) + b"\x01", "sha256")  # HKDF-Expand, RFC 5869
        need(item["salt"] == salt.hex(), "salt_differs", index=index)
        leaf = leaf_hash(b"holdfast/item/v1\n" + salt + record_of(item)).hex()
        need(leaf == manifest["leaves"][index], "item_differs", index=index)
    check_deal(items, manifest["blocks"], seed)


def check_deal(items: list[Json], blocks: list[Json], seed: bytes) -> None:
    """Check that each item lies where the committed seed dealt it.

    Items are sorted by class, then by a keyed hash, and dealt out like cards: a block of n items
    takes its k-th one at the fraction (2k + 1) / 2n of the deck. In a block they lie in the order
    of their hashes.
    """
    deck = []
    for item in items:
        key = hmac.digest(seed, record_of(item), "sha256")
        deck.append((class_of(item), key, item["index"]))
    deck.sort()
    places = []
    for block in blocks:
        n = block["n"]
        for k in range(n):
            fraction = Fraction(2 * k + 1, 2 * n)
            places.append((fraction, block["id"]))
    places.sort()
    dealt: dict[int, list[tuple[bytes, int]]] = {block["id"]: [] for block in blocks}
    for (_, key, index), (_, block_id) in zip(deck, places):
        dealt[block_id].append((key, index))
    order = []
    for block in blocks:
        order += [index for _, index in sorted(dealt[block["id"]])]
    need(order == list(range(len(items))), "deal_differs")


def record_of(item: Json) -> bytes:
    """Return the canonical JSON of an item without index and salt, which its leaf commits to."""
    record = dict(item)
    for name in ("index", "salt"):
        record.pop(name, None)
    return canonical(record)


def class_of(item: Json) -> tuple[int, int]:
    """Return the class of an item by which it is dealt.

    For a number: the steps of its answer, and the digits before the point of its result. For other
    kinds: the line ends of its answer.
    """
    if item.get("kind", "number") != "number":
        return item["answer"].count("\n"), 1
    steps = item["answer"].count("<<")
    last_part = item["answer"].split("####")[-1]
    result = last_part.strip().replace(",", "")
    before_point = result.lstrip("-\u2212").partition(".")[0]
    return steps, max(1, len(before_point.lstrip("0")))


# --- 6. Statement


def check_statement(
    votes: list[Json],
    statement: Json,
    manifest: Json,
    hashed: str,
    evidence: Json,
) -> str:
    """Check that the statement is about these files, and is of the past; return its leaf hash."""
    expected = {
        "manifest": hashed,
        "rule": digest(manifest["rule"]),
        "evidence": digest(evidence),
        "set": manifest["name"],
        "root": manifest["root"],
    }
    for what, value in expected.items():
        need(statement[what] == value, "statement_differs", what=what)
    same_name = evidence["set"] == manifest["name"]
    same_set = same_name and evidence["root"] == manifest["root"]
    need(same_set, "evidence_differs")
    past = moment_of(statement["moment"]) <= datetime.now(timezone.utc)
    need(past, "statement_from_future")
    message = b"holdfast/release/v1\n" + canonical(statement)
    check_votes(votes, manifest, message)
    return leaf_hash(message).hex()


def check_votes(votes: list[Json], manifest: Json, message: bytes) -> None:
    """Check that a quorum of maintainers signed the statement, each once."""
    keys = keys_of(manifest["maintainers"])
    voters = {vote["maintainer"] for vote in votes}
    need(len(voters) == len(votes), "vote_twice")
    for vote in votes:
        name = vote["maintainer"]
        signature = unhex(vote["signature"], 64, "a vote")
        key = keys.get(name, b"")
        good = len(vote) == 2 and signed(key, message, signature)
        need(good, "vote_unsigned", name=name)
    enough = len(votes) >= manifest["quorum"]
    need(enough, "quorum_missed", votes=len(votes), quorum=manifest["quorum"])


# --- 7. Rule


def check_rule(rule: Json, evidence: Json, moment: str) -> None:
    """Check that the evidence meets a clause of the rule: enough models, or a date in the past."""
    runs = evidence["runs"]
    names = {run["run"] for run in runs}
    need(len(names) == len(runs), "run_twice")
    clauses = rule["any_of"]
    dates = []
    for clause in clauses:
        if clause["kind"] == "date":
            dates.append(moment_of(clause["moment"]))
    ancestors = ancestors_of(evidence["lineages"])
    met = False
    for clause in clauses:
        if clause["kind"] == "lineages" and not met:
            qualifying = qualifying_runs(clause, runs, ancestors)
            met = enough_apart(qualifying, clause["models"], ancestors)
    reached = met or any(moment_of(moment) >= date for date in dates)
    need(reached, "rule_unmet")


def ancestors_of(lineages: list[Json]) -> dict[str, set[str]]:
    """Return each sound lineage with itself and all that it was made from.

    A lineage is not sound that is recorded in two ways, or that reaches an unknown one or a cycle.
    """
    recorded = set()
    for fact in lineages:
        recorded.add((fact["name"], frozenset(fact["parents"])))
    ways = Counter(name for name, _ in recorded)
    waiting = {name: parents for name, parents in recorded if ways[name] == 1}
    ancestors: dict[str, set[str]] = {}
    while True:
        ready = [name for name, parents in waiting.items() if parents <= ancestors.keys()]
        if not ready:
            return ancestors
        for name in ready:
            parents = waiting.pop(name)
            inherited = [ancestors[parent] for parent in parents]
            ancestors[name] = {name}.union(*inherited)


def qualifying_runs(clause: Json, runs: list[Json], ancestors: dict[str, set[str]]) -> list[Json]:
    """Return the runs that count for a clause: sound, complete, and with enough items right.

    Weights under one name that are recorded with two lineages count for neither. Shares are
    compared as integers.
    """
    recorded = {(weights_of(run), run["lineage"]) for run in runs}
    lineages = Counter(weights for weights, _ in recorded)
    qualifying = []
    for run in runs:
        enough = run["right"] * clause["denominator"] >= clause["numerator"] * run["n"]
        is_open = run["open_weights"] or not clause["open_weights"]
        one_lineage = run["lineage"] in ancestors and lineages[weights_of(run)] == 1
        sound = is_whole(run) and one_lineage
        if is_fair(run) and sound and enough and is_open:
            qualifying.append(run)
    return qualifying


def weights_of(run: Json) -> tuple[str, str]:
    """Return the name of a run's model and the digest of its files, empty where it is not known."""
    return run["model"], run.get("artefact", "")


def is_whole(run: Json) -> bool:
    """Return True for a run on every assigned item, with the items and the grader now in force."""
    all_items = 0 < run["n"] == run["assigned"] and run["right"] <= run["n"]
    return bool(run["complete"] and run["current"] and all_items)


def is_fair(run: Json) -> bool:
    """Return True for a run on the evaluator's own host, neither retracted nor flagged."""
    return run["tier"] == "T0" and not run["retracted"] and not run["flagged"]


def same_weights(run: Json, peer: Json) -> bool:
    """Return True unless two runs are known to be of different weights.

    They are of the same where their files are, or where tensors that both list hold more than a
    tenth of the bytes of the smaller. Weights without a list of tensors may be any.
    """
    own = tensors_of(run)
    others = tensors_of(peer)
    if not own or not others:
        return True
    if run["artefact"] == peer["artefact"] != "":
        return True
    shared = sum(size for tensor, size in own.items() if tensor in others)
    own_bytes = sum(own.values())
    other_bytes = sum(others.values())
    return shared * 10 > min(own_bytes, other_bytes)


def tensors_of(run: Json) -> dict[str, int]:
    """Return the bytes of each tensor of a run's weights, by digest; empty if none is listed."""
    weights = run.get("weights") or {"tensors": []}
    return dict(weights["tensors"])


def count_as_one(run: Json, peer: Json, ancestors: dict[str, set[str]]) -> bool:
    """Return True for runs of one model, a common ancestor, one base model, or the same weights."""
    if run["model"] == peer["model"]:
        return True
    if ancestors[run["lineage"]] & ancestors[peer["lineage"]]:
        return True
    base = run.get("base_model")
    if base is not None and base == peer.get("base_model"):
        return True
    return same_weights(run, peer)


def enough_apart(runs: list[Json], wanted: int, ancestors: dict[str, set[str]]) -> bool:
    """Return True where so many runs can be found of which no two count as one.

    A run with all the conflicts of another is not tried: exchanging it for the other loses nothing.
    """
    conflicts = []
    for place, run in enumerate(runs):
        conflicting = {place}
        for at, peer in enumerate(runs):
            if count_as_one(run, peer, ancestors):
                conflicting.add(at)
        conflicts.append(conflicting)
    least: list[int] = []
    for place in sorted(range(len(runs)), key=lambda place: len(conflicts[place])):
        if not any(conflicts[other] <= conflicts[place] for other in least):
            least.append(place)

    def found(rest: list[int], wanted: int) -> bool:
        if wanted == 0:
            return True
        for at, place in enumerate(rest):
            apart = [other for other in rest[at:] if other not in conflicts[place]]
            if found(apart, wanted - 1):
                return True
        return False

    return found(least, wanted)


# --- 8. Log


def check_log(lines: list[Json], note: Note, statement: Json, hashed: str) -> dict[str, Json]:
    """Check the evaluator's whole log, which ends with the opening; return its lines by hash."""
    name = statement["evaluator"]["name"]
    public = unhex(statement["evaluator"]["report_pub"], 32, "a key")
    own = [line for line in note.signatures if line.name == name]
    all_good = own and all(signed_note(note, line, public) for line in own)
    need(all_good, "log_head_unsigned", name=name)
    previous = GENESIS
    log = {}
    for place, line in enumerate(lines):
        about = (line["evaluator"], line["index"], line["previous"])
        need(about == (name, place, previous), "line_broken", place=place)
        previous = leaf_hash(canonical(line)).hex()
        log[previous] = line
    root = tree_root(bytes.fromhex(line_hash) for line_hash in log)
    expected = Head(f"holdfast/log/{name}", len(log), root, [])
    need(note.head == expected, "log_head_differs")
    opening = {
        "kind": "opening",
        "set": statement["set"],
        "root": statement["root"],
        "statement": hashed,
    }
    last = log.get(previous, {})
    need(opening.items() <= last.items(), "opening_missing")
    return log


# --- 9. Runs


def check_runs(
    files: Json,
    log: dict[str, Json],
    evidence: Json,
    gone: set[int],
) -> None:
    """Check what each run answered against its last closing on the log and the evidence."""
    facts = {run["run"]: run for run in evidence["runs"]}
    closings = last_closings(log, evidence, facts)
    released = {name[12:-6] for name in files if name.startswith("completions/")}
    need(released == set(closings), "completions_differ")
    for run, closing in closings.items():
        outcomes = check_completions(files[f"completions/{run}.jsonl"], closing, run)
        check_weights(facts[run], closing)
        counting = [outcome for index, outcome in outcomes.items() if index not in gone]
        check_score(facts[run], counting)


def last_closings(log: dict[str, Json], evidence: Json, facts: dict[str, Json]) -> dict[str, Json]:
    """Return the last closing on this log of each run of the evidence, which must name them all."""
    subject = (evidence["set"], evidence["root"])
    closings = {}
    for line_hash, line in log.items():
        if line["kind"] != "closing" or (line["set"], line["root"]) != subject:
            continue
        run = line["run"]
        if run in facts:
            need(line_hash in facts[run]["closings"], "closing_missing", run=run)
            closings[run] = line
    return closings


def check_completions(rows: list[Json], closing: Json, run: str) -> dict[int, int]:
    """Check the answers of a run against its closing; return the outcomes by index.

    A leaf is of the index, the salted hash of the answer's text, and the outcome.
    """
    leaves = []
    outcomes = {}
    for row in rows:
        text = json.loads(row["text"])
        exact = len(row) == 4 and json.dumps(text) == row["text"]
        need(exact, "answer_not_canonical", run=run)
        salt = unhex(row["salt"], 32, "a salt")
        encoded = text.encode("utf-8", "surrogatepass")
        answer = sha256(salt + encoded).hexdigest()
        leaf = canonical([row["index"], answer, row["outcome"]])
        leaves.append(leaf_hash(b"holdfast/outcome/v1\n" + leaf))
        outcomes[row["index"]] = row["outcome"]
    indices = [row["index"] for row in rows]
    need(indices == sorted(outcomes), "answers_out_of_order", run=run)
    need(tree_root(leaves) == closing["outcomes"], "answers_differ", run=run)
    not_counted = list(outcomes.values()).count(NOT_COUNTED)
    counts = {"count": len(rows), "not_counted": not_counted}
    need(counts.items() <= closing.items(), "counts_differ", run=run)
    return outcomes


def check_weights(fact: Json, closing: Json) -> None:
    """Check that the closing commits to the weights of which the evidence speaks."""
    weights = fact.get("weights")
    expected = (fact.get("artefact", ""), digest(weights) if weights else "")
    committed = (closing.get("artefact", ""), closing.get("weights", ""))
    need(committed == expected, "weights_differ", run=fact["run"])


def check_score(fact: Json, counting: list[int]) -> None:
    """Check that the evidence counts as many items right as the answers do.

    Where fewer items are here than the evidence counts, another evaluator asked the rest.
    """
    if len(counting) < fact["n"]:
        return
    same = len(counting) == fact["n"] and counting.count(RIGHT) == fact["right"]
    need(same, "score_differs", run=fact["run"])


# --- The command


def verify(folder: Path, root: str | None = None, published: bytes | None = None) -> str:
    """Check a bundle; return a summary. Raises :class:`Refused` with the first finding.

    ``root`` and ``published``, the bytes of a manifest, were published before the first run.
    """
    raw = check_contents(folder)
    json_names = [name for name in raw if name.endswith((".json", ".jsonl"))]
    files = {name: parse(name, raw[name]) for name in json_names}
    manifest = files["manifest.json"]
    evidence = files["evidence.json"]
    seed = files["seed.json"]
    release = files["statement.json"]
    need(set(release) == {"statement", "votes"}, "fields_differ")
    need(set(seed) == {"seed"}, "fields_differ")
    statement = release["statement"]
    check_contents_signature(raw, statement)
    need(root in (None, manifest["root"]), "root_not_given")
    need(published in (None, raw["manifest.json"]), "manifest_not_given")
    hashed = check_manifest(manifest)
    gone = check_notices(files.get("notices.jsonl", []), manifest)
    check_head(read_note(raw["head.txt"], "head.txt"), manifest, hashed)
    check_items(files["items.jsonl"], manifest, unhex(seed["seed"], 32, "the seed"))
    statement_hash = check_statement(release["votes"], statement, manifest, hashed, evidence)
    check_rule(manifest["rule"], evidence, statement["moment"])
    log_head = read_note(raw["log.head.txt"], "log.head.txt")
    log = check_log(files["log.jsonl"], log_head, statement, statement_hash)
    check_runs(files, log, evidence, gone)
    named: list[str] = []
    for run in evidence["runs"]:
        named += run["closings"]
    here = len(set(named) & set(log))
    return (
        f"{manifest['n']} items of {manifest['name']}, root {manifest['root']};"
        f" {here} of the {len(named)} closings that its evidence names are in this log"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="the folder of the bundle")
    parser.add_argument("--root", help="the root that was published before the first run")
    parser.add_argument(
        "--manifest", type=Path, help="the manifest that was published before the first run"
    )
    options = parser.parse_args(arguments)
    try:
        published = options.manifest.read_bytes() if options.manifest else None
        summary = verify(options.bundle, options.root, published)
    except Refused as refusal:
        print(f"refused: {refusal} ({refusal.code})", file=sys.stderr)
        return STATUS_REFUSED
    except MALFORMED as problem:
        sentence = FINDINGS["malformed"].format(error=type(problem).__name__)
        print(f"refused: {sentence} (malformed)", file=sys.stderr)
        return STATUS_REFUSED
    print(f"verified: {summary}")
    if options.root is None and published is None:
        print(
            "Compare this root with the one published before the first run, or give it with --root."
        )
    return STATUS_VERIFIED


if __name__ == "__main__":
    sys.exit(main())
