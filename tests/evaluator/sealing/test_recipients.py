"""Tiers come from configuration alone, and no way of naming an endpoint borrows another one's tier."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.contract import Endpoint
from evaluator.errors import Code, EvaluatorError
from evaluator.policy import JAIL, EndpointId, endpoint_tier, recipient_of, tiers_shown
from evaluator.sealing.recipients import ListedEndpoint, Recipients

VARIABLE = "HOLDFAST_ENDPOINT_KEY_EXAMPLE"
CONTRACTED = {
    "url": "https://api.example.com/v1",
    "model": "org/m-1",
    "api": "chat",
    "key_env": VARIABLE,
}
OWN = {"url": "http://127.0.0.1:9/tenant-a/v1", "model": "m", "api": "completions", "no_key": True}
LISTED = Recipients.from_dict(
    {"endpoint": [CONTRACTED | {"tier": "T1"}, OWN | {"allow_private": True}]}
)
KNOWN = EndpointId("https://api.example.com/v1", "org/m-1", "chat")


def asked(**about: Any) -> Endpoint:
    """The listed endpoint, as a job names it, but for ``about``."""
    usual = {"kind": "endpoint", "url": KNOWN.url, "model": KNOWN.model, "api": KNOWN.api}
    return msgspec.convert(usual | about, Endpoint)


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
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1/../../other/v1",
        "https://api.example.com/v1/%2e%2e/other",
        "https://ap\ti.example.com/",
        "https://api.example.com/\n",
        "https://аpi.example.com/",
        "https://api.example.com:99999/",
        "https://api.example.com:443a/",
        "http://jail/",
        "http://jail:80/",
        "https://jail/v1",
        "https://JAIL/v1",
        "https://jail./v1",
        "http://jail:8000/v1",
    ],
)
def test_addresses_that_name_no_party_without_doubt(url: str) -> None:
    for ask in (recipient_of, lambda url: LISTED.tier_of(asked(url=url))):
        with pytest.raises((EvaluatorError, msgspec.ValidationError)) as caught:
            ask(url)
        assert getattr(caught.value, "code", Code.ENDPOINT_REFUSED) is Code.ENDPOINT_REFUSED


def test_the_listed_endpoint_is_t1_and_asked_with_the_maintainers_key() -> None:
    assert LISTED.tier_of(asked()) == "T1" == LISTED.tier("api.example.com")
    found = LISTED.listed(asked())
    assert found and found.key({VARIABLE: " sk-ours \n"}) == "sk-ours"
    assert not LISTED.may_be_private(KNOWN.url)
    own = asked(url=OWN["url"], model="m", api="completions")
    assert LISTED.tier_of(own) == "T1" and LISTED.may_be_private(own.url)
    private = LISTED.listed(own)
    assert private and private.key({}) == ""


VARIANTS: tuple[dict[str, str], ...] = (
    {"sealed_keys": {"evaluator-1": "AAAA"}},
    {"url": "https://api.example.com/v1/"},
    {"url": "https://api.example.com//v1"},
    {"url": "https://api.example.com/v1//"},
    {"url": "https://api.example.com/v1/chat"},
    {"url": "https://api.example.com/v1/tenants/me/deployments/logger"},
    {"url": "https://api.example.com/v1/./x"},
    {"url": "https://api.example.com/v1/../v1"},
    {"url": "https://api.example.com/v1/%2e%2e/v1"},
    {"url": "https://api.example.com/V1"},
    {"url": "https://api.example.com/v1x"},
    {"url": "https://api.example.com/v2"},
    {"url": "https://api.example.com"},
    {"url": "https://API.example.com/v1"},
    {"url": "https://api.example.com./v1"},
    {"url": "https://api.example.com:443/v1"},
    {"url": "https://api.example.com:8443/v1"},
    {"url": "http://api.example.com/v1"},
    {"url": "HTTPS://api.example.com/v1"},
    {"url": "https://me@api.example.com/v1"},
    {"url": "https://api.example.com/v1?tenant=me"},
    {"url": "https://api.example.com/v1#me"},
    {"url": "https://api.example.com.evil.example/v1"},
    {"url": "https://xapi.example.com/v1"},
    {"model": "org/m-1-mine"},
    {"model": "org/m-1:free"},
    {"model": "org/M-1"},
    {"model": "openai/org/m-1"},
    {"model": "m-1"},
    {"api": "completions"},
    {"provider": "openai"},
    {"provider": "openrouter", "model": "m-1"},
)


@pytest.mark.parametrize("change", VARIANTS, ids=str)
@pytest.mark.parametrize("season", [None, 0])
def test_any_other_way_of_naming_it_is_self_declared(
    change: dict[str, str], season: int | None
) -> None:
    listed = Recipients.from_dict(
        {"endpoint": [CONTRACTED]} | ({"self_declared": {"season": 0}} if season == 0 else {})
    )
    try:
        tier = listed.tier_of(asked(**change))
    except EvaluatorError as refused:
        assert refused.code is Code.ENDPOINT_REFUSED
    else:
        assert tier == ("T3" if season is None else "T2")
        assert listed.listed(asked(**change)) is None, "no key of the maintainers"


def test_the_site_lowers_the_tier_and_no_key_is_given_then() -> None:
    assert LISTED.listed(asked(), tier="T1") is not None
    assert LISTED.listed(asked(), tier="T2") is None


def test_the_jail_is_t0_and_everyone_else_t3() -> None:
    assert (LISTED.tier(JAIL), Recipients().tier(JAIL)) == ("T0", "T0")
    for unknown in (
        "evil.example",
        "jail.example",
        "jail:80",
        "JAIL",
        "",
        "api.example.com:8443",
        "127.0.0.1",
    ):
        assert LISTED.tier(unknown) == "T3"


@given(st.text(max_size=40))
def test_any_text_is_refused_or_unknown(text: str) -> None:
    for url in (
        text,
        f"https://{text}",
        f"https://{text}.api.example.com/v1",
        f"https://api.example.com/v1{text}",
    ):
        try:
            tier = LISTED.tier_of(asked(url=url))
        except (EvaluatorError, msgspec.ValidationError):
            continue
        assert tier == ("T1" if url == KNOWN.url else "T3")


@given(st.builds(EndpointId, *[st.sampled_from(["a", "b", ""])] * 4), st.booleans(), st.booleans())
def test_t1_is_equality_and_no_own_key(endpoint: EndpointId, own: bool, season: bool) -> None:
    listed = EndpointId("a", "a", "a", "")
    tier = endpoint_tier(endpoint, own_key=own, listed=[listed], season_open=season)
    assert (tier == "T1") == (endpoint == listed and not own)
    assert tier in ("T1", "T2" if season else "T3")


def test_who_may_be_shown_each_kind_of_block() -> None:
    shown = {kind: sorted(tiers_shown(kind)) for kind in ("exposed", "season", "local", "spare")}
    assert shown == {
        "exposed": ["T0", "T1"],
        "season": ["T0", "T1", "T2"],
        "local": ["T0"],
        "spare": [],
    }


@pytest.mark.parametrize(
    "data",
    [
        {"endpoints": []},
        {"endpoint": {}},
        {"endpoint": ["https://api.example.com"]},
        {"endpoint": [{}]},
        {"endpoint": [{"url": "https://api.example.com/v1"}]},
        {"endpoint": [CONTRACTED | {"url": "api.example.com"}]},
        {"endpoint": [CONTRACTED | {"url": 7}]},
        {"endpoint": [CONTRACTED | {"url": "http://10.0.0.1/v1"}]},
        {"endpoint": [CONTRACTED | {"tier": "T0"}]},
        {"endpoint": [CONTRACTED | {"tier": "T2"}]},
        {"endpoint": [CONTRACTED | {"allow_private": 1}]},
        {"endpoint": [CONTRACTED | {"allowprivate": True}]},
        {"endpoint": [CONTRACTED | {"model": ""}]},
        {"endpoint": [CONTRACTED | {"key_env": "PATH"}]},
        {"endpoint": [CONTRACTED | {"key_file": "k"}]},
        {"endpoint": [CONTRACTED | {"key": "sk-1"}]},
        {"endpoint": [CONTRACTED | {"key_env": ""}]},
        {"endpoint": [CONTRACTED | {"key_env": "", "no_key": True}]},
        {"endpoint": [CONTRACTED, CONTRACTED]},
    ],
)
def test_a_wrong_list_is_refused_as_a_whole(data: dict[str, Any]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        Recipients.from_dict(data)
    assert caught.value.code is Code.MISCONFIGURED
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize("value", ["", " ", "a b", "schlüssel", "a" * 4001])
def test_a_key_that_is_none_is_found_at_start(value: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        LISTED.check_keys({VARIABLE: value})
    assert caught.value.code is Code.MISCONFIGURED
    assert VARIABLE in str(caught.value)


def test_a_key_file_is_read_anew_and_by_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "provider.key"
    listed = Recipients.from_dict(
        {"endpoint": [{**CONTRACTED, "key_env": "", "key_file": str(path)}]}
    )
    with pytest.raises(EvaluatorError) as missing:
        listed.check_keys({})
    assert missing.value.code is Code.MISCONFIGURED
    path.write_text("sk-1\n")
    path.chmod(0o644)
    with pytest.raises(EvaluatorError) as shared:
        listed.check_keys({})
    assert shared.value.code is Code.KEY_PERMISSIONS
    path.chmod(0o600)
    found = listed.listed(asked())
    assert found and found.key({}) == "sk-1"
    path.write_text("sk-2\n")
    assert found.key({}) == "sk-2"


def test_nothing_can_be_added_later() -> None:
    listed = Recipients([msgspec.convert(CONTRACTED, ListedEndpoint)])
    with pytest.raises(AttributeError):
        listed.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        LISTED.listed(asked()).url = "https://evil.example"  # type: ignore[union-attr,misc]
    with pytest.raises(AttributeError):
        KNOWN.url = "https://evil.example"  # type: ignore[misc]
    assert replace(KNOWN, model="m") != KNOWN
    assert Recipients.from_dict({}).tier("api.example.com") == "T3"
