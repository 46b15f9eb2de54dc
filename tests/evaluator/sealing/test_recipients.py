"""Tiers come from configuration alone, and no way of writing an address borrows another party's tier."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.errors import Code, EvaluatorError
from evaluator.sealing.recipients import JAIL, ListedEndpoint, Recipients, recipient_of

LISTED = Recipients.from_dict(
    {
        "endpoint": [
            {"url": "https://api.example.com/v1", "tier": "T1"},
            {"url": "http://127.0.0.1:9/tenant-a/v1", "allow_private": True},
        ]
    }
)


@pytest.mark.parametrize(
    ("url", "recipient"),
    [
        ("https://api.example.com/v1", "api.example.com"),
        ("https://API.Example.COM./v1", "api.example.com"),
        ("https://api.example.com:443", "api.example.com"),
        ("https://api.example.com:8443/", "api.example.com:8443"),
        ("http://api.example.com:443/", "api.example.com:443"),
        ("http://127.0.0.1:9/v1", "127.0.0.1:9"),
        ("http://127.0.0.1:80/v1", "127.0.0.1"),
    ],
)
def test_recipient_of(url: str, recipient: str) -> None:
    assert recipient_of(url) == recipient


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://user@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://api.example.com\\@evil.example/",
        "https://evil.example#@api.example.com/",
        "https://evil.example?@api.example.com/",
        "https://api.example.com/v1/../../other/v1",
        "https://api.example.com/v1/%2e%2e/other",
        "https://ap\ti.example.com/",
        "https://api.example.com/\n",
        "https://аpi.example.com/",
        "https://api.example.com:99999/",
        "https://api.example.com:443a/",
        "http://jail/",
        "http://jail:80/",
    ],
)
def test_addresses_that_name_no_party_without_doubt(url: str) -> None:
    for ask in (recipient_of, LISTED.tier_of_url):
        with pytest.raises(EvaluatorError) as caught:
            ask(url)
        assert caught.value.code is Code.ENDPOINT_REFUSED


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "https://api.example.com/v1/",
        "https://API.example.com:443/v1/chat",
        "http://127.0.0.1:9/tenant-a/v1",
    ],
)
def test_listed(url: str) -> None:
    assert LISTED.tier_of_url(url) == "T1"
    assert LISTED.tier(recipient_of(url)) == "T1"
    found = LISTED.listed(url)
    assert found and found.allow_private == ("127" in url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "https://api.example.com/v2",
        "https://api.example.com/v1x",
        "https://api.example.com/",
        "https://api.example.com:8443/v1",
        "https://api.example.com.evil.example/v1",
        "https://xapi.example.com/v1",
        "http://127.0.0.1:9/tenant-b/v1",
        "http://127.0.0.1:90/tenant-a/v1",
    ],
)
def test_not_listed(url: str) -> None:
    assert LISTED.tier_of_url(url) == "T3"
    assert LISTED.listed(url) is None


def test_the_jail_is_t0_and_everyone_else_t3() -> None:
    assert (LISTED.tier(JAIL), Recipients().tier(JAIL)) == ("T0", "T0")
    for unknown in ("evil.example", "jail.example", "jail:80", "JAIL", "", "api.example.com:8443", "127.0.0.1"):
        assert LISTED.tier(unknown) == "T3"


@given(st.text(max_size=40))
def test_any_text_is_refused_or_unknown(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}.api.example.com/v1", f"https://evil.example{text}/v1"):
        try:
            recipient, tier = recipient_of(url), LISTED.tier_of_url(url)
        except EvaluatorError as refused:
            assert refused.code is Code.ENDPOINT_REFUSED
        else:
            assert tier == "T3" or recipient in {"api.example.com", "127.0.0.1:9"}


@pytest.mark.parametrize(
    "data",
    [
        {"endpoints": []},
        {"endpoint": {}},
        {"endpoint": ["https://api.example.com"]},
        {"endpoint": [{}]},
        {"endpoint": [{"url": "api.example.com"}]},
        {"endpoint": [{"url": "https://api.example.com", "tier": "T0"}]},
        {"endpoint": [{"url": "https://api.example.com", "tier": "T2"}]},
        {"endpoint": [{"url": "https://api.example.com", "allow_private": 1}]},
        {"endpoint": [{"url": "https://api.example.com", "allowprivate": True}]},
        {"endpoint": [{"url": 7}]},
    ],
)
def test_a_wrong_list_is_refused_as_a_whole(data: dict[str, Any]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        Recipients.from_dict(data)
    assert caught.value.code is Code.MISCONFIGURED


def test_nothing_can_be_added_later() -> None:
    listed = Recipients([ListedEndpoint("https://api.example.com")])
    with pytest.raises(AttributeError):
        listed.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        LISTED.listed("https://api.example.com/v1").url = "https://evil.example"  # type: ignore[union-attr,misc]
    assert Recipients.from_dict({}).tier("api.example.com") == "T3"
