"""The name that an endpoint returns is published if it was requested, else its digest only."""

import re

import pytest

from evaluator.backends.hardware import describe
from evaluator.backends.model_names import publishable_name
from evaluator.contract import Hardware, Returned, fits

DIGEST = re.compile(r"sha256:[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("asked", "returned"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("openai/gpt-4o", "gpt-4o-2024-08-06"),
        ("meta/llama-3", "meta/llama-3"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
        ("m", "m:0"),
        ("m", "m@v2.1"),
    ],
)
def test_the_requested_name_is_published_with_its_version(asked: str, returned: str) -> None:
    assert publishable_name(asked, returned) == returned
    assert fits(returned, Returned)


@pytest.mark.parametrize(
    "returned",
    [
        "gpt-4o-mini",
        "gpt-4o Which violet-kayak is number 7?",
        "gpt-4o-violet-kayak",
        "gpt-4o-" + "1" * 30,
        "gpt-4o-12\n",
        "Z3B0LTRv",
        "",
        "\ud800",
        "<script>",
        "gpt-4o-2024-08-06 " + "x" * 5000,
    ],
)
def test_any_other_name_is_published_as_its_digest(returned: str) -> None:
    found = publishable_name("gpt-4o", returned)
    assert DIGEST.fullmatch(found)
    assert fits(found, Returned)


@pytest.mark.parametrize(
    ("name", "gpus", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", 1, "NVIDIA H100 80GB HBM3"),
        ("NVIDIA H100 80GB HBM3", 4, "4 x NVIDIA H100 80GB HBM3"),
        ("Intel(R) Xeon(R)  Processor @ 2.20GHz\n", 0, "Intel(R) Xeon(R) Processor @ 2.20GHz"),
        ("<b>\x00" + "x" * 200, 0, "b " + "x" * 77),
        ("", 2, ""),
    ],
)
def test_a_processor_has_a_plain_name(name: str, gpus: int, expected: str) -> None:
    assert describe(name, gpus) == expected
    assert fits(expected, Hardware)
