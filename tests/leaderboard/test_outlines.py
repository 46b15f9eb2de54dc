"""An outline gives what its template would have given, as text and compressed."""

import gzip
import zlib
from pathlib import Path

import pytest
from django.template import engines
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import outlines
from leaderboard.outlines import Filled, Outline

TEMPLATE = (
    "<p>{{ fixed }}</p>" + "x" * 500 + "{{ one }}-{{ two }}{{ one }}{% if is.large %}!{% endif %}"
)


@pytest.fixture
def outline(tmp_path: Path) -> Outline:
    (tmp_path / "some.html").write_text(TEMPLATE)
    with override_settings(
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
        ]
    ):
        engines.__dict__.pop("templates", None)
        return Outline("some.html", ("one", "two"), {"fixed": "<&>", "is": {"large": True}})


def test_what_is_fixed_is_escaped_and_values_are_put_in_as_they_are(outline: Outline) -> None:
    text = outline.filled({"one": "<b>", "two": 2})
    assert text == "<p>&lt;&amp;&gt;</p>" + "x" * 500 + "<b>-2<b>!"


def test_cut_gives_what_stands_between_its_marks(outline: Outline) -> None:
    values = {"one": "1", "two": "100%"}
    pieces = [piece.filled(values) for piece in outline.cut(("one",))]
    assert pieces == ["<p>&lt;&amp;&gt;</p>" + "x" * 500, "-100%", "!"]
    assert "1".join(pieces) == outline.filled(values)


@given(one=st.text(max_size=400), two=st.text(max_size=400))
def test_zipped_is_the_same_text(one: str, two: str) -> None:
    outline = Outline.__new__(Outline)
    outline._parts = ["é" * 300, "one", "", "two", "end", "one", "\n" * 250]
    filled = Filled(
        outline,
        {
            "one": one.encode("utf-8", "ignore").decode(),
            "two": two.encode("utf-8", "ignore").decode(),
        },
    )
    assert gzip.decompress(filled.zipped()).decode() == str(filled)


def test_it_is_one_member_as_browsers_want_it(outline: Outline) -> None:
    press = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = press.decompress(outline.zipped({"one": "a" * 1000, "two": "b"}))
    assert press.eof and not press.unused_data and text.startswith(b"<p>")


def test_a_value_that_looks_like_a_mark_is_a_value(outline: Outline) -> None:
    forged = f"[{outlines._TOKEN}:two]"
    assert forged in outline.filled({"one": forged, "two": "2"})


def test_a_damaged_block_would_be_noticed(outline: Outline) -> None:
    packed = bytearray(outline.zipped({"one": "a" * 1000, "two": "b"}))
    packed[-6] ^= 1
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(bytes(packed))
