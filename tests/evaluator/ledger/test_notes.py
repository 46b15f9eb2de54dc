"""Tree heads as signed notes: what is written is read back, and every other form is refused."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import notes, signatures
from evaluator.ledger.notes import (
    TreeHead,
    cosign,
    cosigned_by,
    equivocate,
    open_note,
    sign_head,
    verify_head,
)

KEY, OTHER, WITNESS = (
    Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3)
)
PUBLIC, WITNESS_PUBLIC = signatures.public_hex(KEY), signatures.public_hex(WITNESS)
HEAD = TreeHead("holdfast/log/host-a", 7, bytes(range(32)), ("one more",))
NOTE = sign_head(HEAD, name="host-a", private_key=KEY)
SEEN = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
COSIGNED = cosign(NOTE, name="wit", private_key=WITNESS, moment=SEEN)


def verified(note: str, **changed: str) -> TreeHead:
    known = {"name": "host-a", "public_hex": PUBLIC, "origin": HEAD.origin, **changed}
    return verify_head(note, **known)


def refuse(ask: Callable[[], object]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        ask()
    assert caught.value.code is Code.HEAD_INVALID


def test_a_note_by_the_letter() -> None:
    """The text as the documents say it, put together by hand."""
    body = "holdfast/log/host-a\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\none more\n"
    known = hashlib.sha256(b"host-a\n\x01" + bytes.fromhex(PUBLIC)).digest()[:4]
    line = base64.b64encode(known + KEY.sign(body.encode())).decode()
    assert f"{body}\n\u2014 host-a {line}\n" == NOTE
    assert notes.vkey("host-a", PUBLIC) == (
        f"host-a+{known.hex()}+{base64.b64encode(bytes([1]) + bytes.fromhex(PUBLIC)).decode()}"
    )


def test_a_cosignature_by_the_letter() -> None:
    added = COSIGNED.removeprefix(NOTE)
    name, raw = added.removeprefix("\u2014 ").split()
    data = base64.b64decode(raw)
    assert (
        name == "wit"
        and data[:4] == hashlib.sha256(b"wit\n\x04" + bytes.fromhex(WITNESS_PUBLIC)).digest()[:4]
    )
    seen = int(SEEN.timestamp())
    message = f"cosignature/v1\ntime {seen}\n{HEAD.body()}".encode()
    assert int.from_bytes(data[4:12]) == seen and data[12:] == WITNESS.sign(message)


def test_round_trip() -> None:
    assert verified(NOTE) == verified(COSIGNED) == HEAD
    assert open_note(NOTE).head == HEAD and open_note(NOTE).body == HEAD.body()
    assert [one.name for one in open_note(COSIGNED).signatures] == ["host-a", "wit"]
    assert cosigned_by(NOTE, {"wit": WITNESS_PUBLIC}) == {}
    assert cosigned_by(COSIGNED, {"wit": WITNESS_PUBLIC}) == {"wit": int(SEEN.timestamp())}
    assert cosigned_by(COSIGNED, {"another": WITNESS_PUBLIC}) == {}


@given(
    st.integers(0, 10**18),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text("abc /=é", min_size=1).filter(lambda line: line == line.strip()), max_size=4),
)
def test_any_head_round_trips(size: int, root: bytes, more: list[str]) -> None:
    head = TreeHead("holdfast/log/x", size, root, tuple(more))
    assert (
        verify_head(
            sign_head(head, name="x", private_key=KEY),
            name="x",
            public_hex=PUBLIC,
            origin=head.origin,
        )
        == head
    )


def resigned(body: str) -> str:
    """A body in another form, well signed: only its form can be refused."""
    known = notes.key_id("host-a", PUBLIC)
    return f"{body}\n\u2014 host-a {base64.b64encode(known + KEY.sign(body.encode())).decode()}\n"


ROOT = base64.b64encode(HEAD.root).decode()
FORMS = {
    "no body": "",
    "no size": f"holdfast/log/host-a\n{ROOT}\n",
    "two lines": "holdfast/log/host-a\n7\n",
    "empty origin": f"\n7\n{ROOT}\n",
    "size with leading zero": f"holdfast/log/host-a\n07\n{ROOT}\n",
    "size of zeros": f"holdfast/log/host-a\n00\n{ROOT}\n",
    "size with sign": f"holdfast/log/host-a\n+7\n{ROOT}\n",
    "negative size": f"holdfast/log/host-a\n-7\n{ROOT}\n",
    "size in other digits": f"holdfast/log/host-a\n\u0667\n{ROOT}\n",
    "huge size": f"holdfast/log/host-a\n{10**19}\n{ROOT}\n",
    "size with spaces": f"holdfast/log/host-a\n 7\n{ROOT}\n",
    "size as float": f"holdfast/log/host-a\n7.0\n{ROOT}\n",
    "root of 31 bytes": f"holdfast/log/host-a\n7\n{base64.b64encode(HEAD.root[:31]).decode()}\n",
    "root of 33 bytes": f"holdfast/log/host-a\n7\n{base64.b64encode(HEAD.root + b'x').decode()}\n",
    "empty root": "holdfast/log/host-a\n7\n\n",
    "root in hexadecimal": f"holdfast/log/host-a\n7\n{HEAD.root.hex()}\n",
    "root without padding": f"holdfast/log/host-a\n7\n{ROOT.rstrip('=')}\n",
    "root in url-safe base64": f"holdfast/log/host-a\n7\n{base64.urlsafe_b64encode(bytes([255]) * 32).decode()}\n",
    "root with stray bits": f"holdfast/log/host-a\n7\n{ROOT[:-2]}9=\n",
    "CRLF": f"holdfast/log/host-a\r\n7\r\n{ROOT}\r\n",
    "CR in the origin": f"holdfast/log/host-a\r\n7\n{ROOT}\n",
    "space after the root": f"holdfast/log/host-a\n7\n{ROOT} \n",
    "space before the origin": f" holdfast/log/host-a\n7\n{ROOT}\n",
    "tab": f"holdfast/log/host-a\n7\t\n{ROOT}\n",
    "control character": f"holdfast/log/host-a\n7\n{ROOT}\na\x00b\n",
    "empty line in the body": f"holdfast/log/host-a\n7\n{ROOT}\n\nmore\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_fault_t006_a_well_signed_body_in_another_form(name: str) -> None:
    refuse(lambda: open_note(resigned(FORMS[name])))


def test_the_form_above_is_refused_for_its_body_alone() -> None:
    assert verified(resigned(f"holdfast/log/host-a\n7\n{ROOT}\none more\n")) == HEAD


SIGNATURE = NOTE.rpartition("\n\n")[2]
LINES = {
    "no signature": HEAD.body(),
    "no signature after the blank line": HEAD.body() + "\n",
    "missing blank line": HEAD.body() + SIGNATURE,
    "no end of line": NOTE[:-1],
    "two ends of line": NOTE + "\n",
    "two blank lines": f"{HEAD.body()}\n\n{SIGNATURE}",
    "CRLF": NOTE.replace("\n", "\r\n"),
    "hyphen for the dash": NOTE.replace("\u2014", "-"),
    "two spaces": NOTE.replace("\u2014 ", "\u2014  "),
    "space at the end": NOTE[:-1] + " \n",
    "space in front": NOTE.replace("\u2014", " \u2014"),
    "no name": NOTE.replace("host-a ", " "),
    "plus in the name": NOTE.replace("host-a ", "host+a "),
    "no-break space in the name": NOTE.replace("host-a ", "host\u00a0a "),
    "signature in hexadecimal with dashes": f"{HEAD.body()}\n\u2014 host-a ab-cd\n",
    "signature without padding": NOTE.rstrip("=\n") + "\n",
    "four bytes": f"{HEAD.body()}\n\u2014 host-a {base64.b64encode(b'four').decode()}\n",
    "a line of text below": NOTE + "text\n",
    "too long": NOTE + SIGNATURE * 40,
}


@pytest.mark.parametrize("name", LINES)
def test_fault_t006_another_form_of_the_note(name: str) -> None:
    refuse(lambda: verified(LINES[name]))


def test_fault_t006_another_origin_key_or_name() -> None:
    refuse(lambda: verified(NOTE, origin="holdfast/log/host-b"))
    refuse(lambda: verified(NOTE, public_hex=signatures.public_hex(OTHER)))
    refuse(lambda: verified(NOTE, name="host-b"))
    refuse(lambda: verified(sign_head(HEAD, name="host-a", private_key=OTHER)))
    refuse(lambda: verified(NOTE.replace("\n7\n", "\n8\n")))


def test_fault_t006_two_logs_with_one_key() -> None:
    """The key's id is of its name too, and the origin is signed: neither note passes for one of the other log."""
    other = sign_head(TreeHead("holdfast/log/host-b", 7, HEAD.root), name="host-b", private_key=KEY)
    refuse(lambda: verified(other))
    refuse(lambda: verified(other, origin="holdfast/log/host-b"))
    refuse(lambda: verified(NOTE, origin="holdfast/log/host-b", name="host-b"))
    assert (
        verify_head(other, name="host-b", public_hex=PUBLIC, origin="holdfast/log/host-b").size == 7
    )


def test_a_bad_signature_is_not_healed_by_a_good_one() -> None:
    known = notes.key_id("host-a", PUBLIC)
    bad = f"\u2014 host-a {base64.b64encode(known + bytes(64)).decode()}\n"
    refuse(lambda: verified(NOTE + bad))
    short = f"\u2014 host-a {base64.b64encode(known + bytes(63)).decode()}\n"
    refuse(lambda: verified(NOTE + short))
    foreign = sign_head(HEAD, name="stranger", private_key=OTHER).rpartition("\n\n")[2]
    assert verified(NOTE + foreign) == HEAD


def test_every_single_bit_of_a_note() -> None:
    raw = NOTE.encode()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        refuse(lambda text=text: verified(text))  # type: ignore[misc]


def test_cosignatures_that_do_not_hold() -> None:
    known = {"wit": WITNESS_PUBLIC}
    forged = cosign(NOTE, name="wit", private_key=OTHER, moment=SEEN)
    refuse(lambda: cosigned_by(forged, known))
    plain = NOTE + sign_head(HEAD, name="wit", private_key=WITNESS).rpartition("\n\n")[2]
    refuse(lambda: cosigned_by(plain, known))  # a signature of a log's kind says no moment
    line = COSIGNED.removeprefix(NOTE)
    raw = bytearray(base64.b64decode(line.split()[2]))
    raw[11] ^= 1  # one second more or less
    later = NOTE + f"\u2014 wit {base64.b64encode(bytes(raw)).decode()}\n"
    refuse(lambda: cosigned_by(later, known))
    other = sign_head(TreeHead(HEAD.origin, 8, HEAD.root), name="host-a", private_key=KEY) + line
    refuse(lambda: cosigned_by(other, known))
    refuse(lambda: cosigned_by(NOTE + "\u2014 wit AAAAAAA=\n", known))
    refuse(lambda: cosign("no note", name="wit", private_key=WITNESS, moment=SEEN))


def test_fault_t007_a_split_view() -> None:
    """Two heads of one size and different roots cannot both be true; of different sizes they may."""
    other = TreeHead(HEAD.origin, 7, bytes(32))
    assert equivocate(HEAD, other) and equivocate(other, HEAD)
    assert not equivocate(HEAD, HEAD)
    assert not equivocate(HEAD, TreeHead(HEAD.origin, 8, bytes(32)))
    assert not equivocate(HEAD, TreeHead("holdfast/log/host-b", 7, bytes(32)))
