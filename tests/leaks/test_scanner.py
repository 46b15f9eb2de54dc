"""The scanner finds what is planted, in every dress: a scan without hits means nothing otherwise."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import socket
import subprocess
import sys
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.items import parse_items
from tests.leaks import containers
from tests.leaks.canaries import PLAIN_WORDS, Canary, key, plant
from tests.leaks.scanner import Scanner

PLANTED = plant(8, seed=3)
WORDS, CODED = PLANTED.canaries[0], PLANTED.canaries[-1]
NOISE = bytes(range(256)) * 3


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("member")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def wrapped_base64(data: bytes) -> bytes:
    return base64.encodebytes(
        b"some words that come before, long enough for a line to break within: " + data
    )


def celery_body(data: bytes) -> bytes:
    body = base64.b64encode(json.dumps([[], {"spec": data.decode()}, {}]).encode()).decode()
    return json.dumps({"body": body, "headers": {}}).encode()


DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "utf-8": lambda text: text,
    "upper case": bytes.upper,
    "lower case": bytes.lower,
    "utf-16-le": lambda text: text.decode().encode("utf-16-le"),
    "utf-16-be": lambda text: text.decode().encode("utf-16-be"),
    "hex": lambda text: text.hex().encode(),
    "HEX": lambda text: text.hex().upper().encode(),
    "bytea": lambda text: b"\\x" + text.hex().encode(),
    "reversed": lambda text: text[::-1],
    "url": lambda text: urllib.parse.quote(text.decode(), safe="").encode(),
    "url plus": lambda text: urllib.parse.quote_plus(text.decode()).encode(),
    "url every byte": lambda text: b"".join(b"%%%02x" % octet for octet in text),
    "html decimal": lambda text: b"".join(b"&#%d;" % octet for octet in text),
    "html hex": lambda text: b"".join(b"&#x%X;" % octet for octet in text),
    "json escapes": lambda text: b"".join(b"\\u%04x" % octet for octet in text),
    "json in json": lambda text: b"".join(b"\\\\u%04X" % octet for octet in text),
    "python escapes": lambda text: b"".join(b"\\x%02x" % octet for octet in text),
    "bytea octal": lambda text: b"".join(b"\\%03o" % octet for octet in text),
    "broken lines": lambda text: text[:9] + b"\n" + text[9:20] + b"\n    " + text[20:],
    "base64 of lines": wrapped_base64,
    "celery message": celery_body,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zlib fast": lambda text: zlib.compress(text, 1),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar.gz": tarred,
    "gzip cut short": lambda text: gzip.compress(text + os.urandom(4000))[:-2000],
    "zip in gzip": lambda text: gzip.compress(zipped(text)),
    "gzip in gzip in zip": lambda text: zipped(gzip.compress(gzip.compress(text))),
    "base64 of zlib": lambda text: base64.b64encode(zlib.compress(text)),
    "base64url of gzip": lambda text: base64.urlsafe_b64encode(gzip.compress(text)),
    "hex of gzip": lambda text: gzip.compress(text).hex().encode(),
    "base64 in gzip": lambda text: gzip.compress(base64.b64encode(text)),
}


@pytest.mark.parametrize("canary", [WORDS, CODED], ids=["words", "coded"])
@pytest.mark.parametrize("dress", DRESSES)
def test_every_dress_is_found(dress: str, canary: Canary) -> None:
    hits = Scanner(PLANTED.canaries).scan_bytes(
        NOISE + b" " + DRESSES[dress](canary.text.encode()) + b" " + NOISE
    )
    assert {hit.canary for hit in hits} == {canary}


@pytest.mark.parametrize("lead", range(3))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize(
    "canary", PLANTED.canaries, ids=lambda canary: f"{canary.item}-{canary.field}"
)
def test_base64_at_every_alignment(
    canary: Canary, encode: Callable[[bytes], bytes], lead: int
) -> None:
    hits = Scanner(PLANTED.canaries).scan_bytes(
        encode(b"?~\xff"[:lead] + canary.text.encode() + b"\xfe?")
    )
    assert {hit.canary for hit in hits} == {canary}


@pytest.mark.parametrize("half", [0, 1])
def test_half_a_canary_is_enough(half: int) -> None:
    for canary in PLANTED.canaries:
        hits = Scanner(PLANTED.canaries).scan_bytes(
            b"..." + canary.fragments()[half].encode() + b"..."
        )
        assert {hit.canary for hit in hits} == {canary}


def test_nothing_is_found_where_nothing_is() -> None:
    scanner = Scanner(PLANTED.canaries)
    other = plant(200, seed=4).jsonl()
    hits = scanner.scan_bytes(
        other + os.urandom(200_000) + gzip.compress(other) + other.hex().encode()
    )
    assert hits == []
    assert "hits 0" in scanner.summary(hits)


def test_found_across_the_edge_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.leaks.scanner._STEP", 64)
    scanner = Scanner(PLANTED.canaries)
    for lead in range(40, 80):
        assert scanner.scan_bytes(b"." * lead + CODED.text.encode())


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
@pytest.mark.parametrize("tail", [b"", NOISE], ids=["alone", "followed"])
def test_frames_are_opened_where_a_library_can(kind: str, tail: bytes) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    stream = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(stream, kind) as packing:
        packing.write(CODED.text.encode() * 3)
    scanner = Scanner(PLANTED.canaries)
    hits = scanner.scan_bytes(NOISE + stream.getvalue().to_pybytes() + tail, "dump")
    assert {hit.canary for hit in hits} == {CODED} and any(kind in hit.where for hit in hits)
    assert scanner.unopened == []


KEY_DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda raw: raw,
    "first half": lambda raw: raw[:16],
    "second half": lambda raw: raw[16:],
    "reversed": lambda raw: raw[::-1],
    "hex": lambda raw: raw.hex().encode(),
    "HEX": lambda raw: raw.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64 shifted": lambda raw: base64.b64encode(b"ab" + raw),
    "base64url": lambda raw: base64.urlsafe_b64encode(b"a" + raw),
    "gzip": gzip.compress,
}


@pytest.mark.parametrize("dress", KEY_DRESSES)
def test_keys_are_found(dress: str) -> None:
    secret = key(os.urandom(32), "host.key")
    hits = Scanner([*PLANTED.canaries, secret]).scan_bytes(
        NOISE + KEY_DRESSES[dress](secret.raw) + NOISE
    )
    assert {hit.canary for hit in hits} == {secret}


def test_what_cannot_be_opened_is_listed() -> None:
    scanner = Scanner(PLANTED.canaries)
    scanner.scan_bytes(b"\x28\xb5\x2f\xfd" + NOISE, "dump")
    assert scanner.unopened == ["dump/zstd@0"]


def test_a_bomb_is_listed_not_opened_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "LIMIT", 100_000)
    scanner = Scanner(PLANTED.canaries)
    scanner.scan_bytes(gzip.compress(bytes(1_000_000)), "bomb")
    assert scanner.unopened == ["the rest of bomb/gzip@0"]


def test_tree_reads_files_and_names_and_skips_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "log").write_bytes(gzip.compress(CODED.text.encode()))
    (tmp_path / f"item-{CODED.text}").write_bytes(b"")
    (tmp_path / "source").write_bytes(PLANTED.jsonl())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        scanner = Scanner(PLANTED.canaries)
        hits = scanner.scan_tree(tmp_path, skip=[tmp_path / "source"])
    assert {hit.where.rpartition("/")[2] if "gzip" in hit.where else "name" for hit in hits} == {
        "gzip@0",
        "name",
    }
    assert {hit.canary for hit in hits} == {CODED}
    assert scanner.surfaces == 2


@pytest.mark.parametrize("place", ["environ", "cmdline", "memory"])
def test_process(place: str) -> None:
    text = CODED.text
    code = "import sys; kept = sys.stdin.readline().encode(); print('ready', flush=True); sys.stdin.readline()"
    command = [sys.executable, "-c", code, *([text] if place == "cmdline" else [])]
    environment = {**os.environ, **({"PLANTED": text} if place == "environ" else {})}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(f"{text if place == 'memory' else 'nothing'}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        try:
            hits = Scanner(PLANTED.canaries).scan_process(process.pid, memory=place == "memory")
        finally:
            process.stdin.close()
            process.kill()
    assert hits and all(hit.where.startswith(place) and hit.canary == CODED for hit in hits)


@pytest.mark.parametrize("form", ["<i4", "<i8", "decimal"])
def test_token_ids(form: str, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    import numpy as np

    alphabet = {chr(number): number for number in range(32, 127)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=alphabet, merges=[]))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode(f"Say {CODED.text} now").ids
    blob = json.dumps(ids).encode() if form == "decimal" else np.array(ids, dtype=form).tobytes()
    hits = Scanner(PLANTED.canaries, tokenizers=[tmp_path / "tokenizer.json"]).scan_bytes(blob)
    assert {hit.canary for hit in hits if hit.encoding == "tokens"} == {CODED}


def test_a_row_of_unknown_tokens_is_no_canary(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"<unk>": 0, "Say": 1}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    scanner = Scanner(PLANTED.canaries, tokenizers=[tmp_path / "tokenizer.json"])
    assert scanner.scan_bytes(bytes(400)) == []


def test_planted_items_are_a_set_like_any_other() -> None:
    items = parse_items(PLANTED.jsonl().splitlines())
    assert len(items) == 8
    assert plant(8, seed=3) == PLANTED != plant(8, seed=4)
    coded = [canary for canary in PLANTED.canaries if canary.text.startswith("CNRY-")]
    assert len(PLANTED.canaries) - len(coded) == 2 * PLAIN_WORDS
    for canary in PLANTED.canaries:
        assert canary.text in PLANTED.records[canary.item][canary.field]


def test_forty_items_can_be_planted() -> None:
    for seed in range(20):
        assert len(plant(40, seed).canaries) == 80
