"""The deny list, address by address."""

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest

from evaluator.addresses import check, permitted, resolve
from evaluator.errors import Code, EvaluatorError

REFUSED = {
    "U001": [
        "http://api.example.org/v1",
        "ftp://a.example.org",
        "file:///etc/passwd",
        "gopher://a.example.org/1",
        "unix:/run/x",
        "data:text/plain,x",
        "//api.example.org/v1",
        "api.example.org/v1",
        "",
    ],
    "U002": [
        "https://127.0.0.1",
        "https://127.1",
        "https://0x7f000001",
        "https://2130706433",
        "https://0177.0.0.1",
        "https://0",
        "https://[::1]",
        "https://[::]",
        "https://127.0.0.0x1",
        "https://8.8.8.8",
    ],
    "U003": [
        "https://[::ffff:127.0.0.1]",
        "https://[::127.0.0.1]",
        "https://[64:ff9b::a9fe:a9fe]",
        "https://[64:ff9b:1::1]",
        "https://[2002:7f00:1::]",
        "https://[fe80::1%25eth0]",
        "https://[fec0::1]",
        "https://[fd00:ec2::254]",
        "https://[::1",
        "https://[zz]",
    ],
    "U004": [
        "https://169.254.169.254",
        "https://100.100.100.200",
        "https://192.0.0.192",
        "https://instance-data",
        "https://metadata.google.internal",
        "https://metadata",
        "https://db.internal",
        "https://router.lan",
    ],
    "U007": [
        "https://user:pw@api.example.org/",
        "https://api.example.org@127.0.0.1/",
        "https://127.0.0.1\\@a.org/",
        "https://api.example.org#@127.0.0.1/",
        "https://api.exa\tmple.org",
        "https://api.example.org\n/v1",
        "https://api.example.org\r\nHost: x/",
    ],
    "U008": [
        "https://localhost.",
        "https://LOCALHOST",
        "https://x.localhost",
        "https://127。0。0。1",
        "https://①②⑦.0.0.1",
        "https://ex%61mple.com",
        "https://" + "a" * 64 + ".org",
        "https://" + "a." * 150 + "org",
        "https://a..example.org",
        "https://.example.org",
        "https://a_b.example.org",
        "https://-a.example.org",
    ],
    "U010": [
        f"https://api.example.org:{port}/v1"
        for port in ("22", "25", "80", "5432", "6379", "0", "65536", "-1")
    ]
    + ["https://api.example.org:443a/v1", "https://api.example.org:/v1"],
    "U013": [
        "https://api.example.org/" + "a" * 100000,
        "https://api.example.org/v1?key=secret",
        "https://api.example.org/{model}",
        "https://api.example.org/v1#part",
        "https://api.example.org/../x",
    ],
    "U017": ["https://abc.onion/v1", "https://1.0.168.192.in-addr.arpa"],
}


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(url, id=f"{bad}-{i}")
        for bad, urls in REFUSED.items()
        for i, url in enumerate(urls)
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        check(url, allow_private=False)
    assert caught.value.code is Code.ENDPOINT_REFUSED
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "base"),
    [
        ("https://api.example.org/v1", "api.example.org", 443, "https://api.example.org:443/v1"),
        (
            "https://API.Example.ORG:8000/v1/",
            "api.example.org",
            8000,
            "https://api.example.org:8000/v1",
        ),
        ("https://api.example.org.", "api.example.org", 443, "https://api.example.org:443"),
        (
            "https://xn--bcher-kva.example/v1",
            "xn--bcher-kva.example",
            443,
            "https://xn--bcher-kva.example:443/v1",
        ),
    ],
)
def test_urls_that_are_taken(url: str, host: str, port: int, base: str) -> None:
    target = check(url, allow_private=False)
    assert (target.host, target.port, target.url) == (host, port, base)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/v1",
        "http://[::1]:9/v1",
        "http://models:8000",
        "http://localhost:80",
        "https://10.0.0.3/v1",
    ],
)
def test_an_operator_may_open_private_addresses(url: str) -> None:
    assert check(url, allow_private=True)
    with pytest.raises(EvaluatorError):
        check(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://0.0.0.0:80",
        "http://127.1:80",
        "http://metadata.google.internal",
        "http://[::ffff:169.254.169.254]/",
        "http://224.0.0.1/",
        "http://[fe80::1]/",
    ],
)
def test_no_word_of_an_operator_opens_these(url: str) -> None:
    with pytest.raises(EvaluatorError):
        check(url, allow_private=True)


# called global by Python 3.11's ipaddress, and more of their kind
DANGEROUS = [
    "192.0.0.192",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "fec0::1",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "127.9.9.9",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "198.18.0.1",
    "192.0.2.1",
    "240.0.0.1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "64:ff9b:1::1",
    "100::1",
    "5f00::1",
    "4000::1",
]


@pytest.mark.parametrize("address", DANGEROUS)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not permitted(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::5e"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert permitted(ipaddress.ip_address(address), allow_private=False)


def _resolve(*answers: str, allow_private: bool = False) -> tuple[str, ...]:
    async def lookup(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("api.example.org", 443)
        return answers

    target = check("https://api.example.org/v1", allow_private=False)
    return asyncio.run(resolve(target, allow_private=allow_private, lookup=lookup))


@pytest.mark.parametrize(
    "answers",
    [
        ("127.0.0.1",),
        ("::1",),
        ("8.8.8.8", "10.0.0.1"),
        ("8.8.8.8",) * 29 + ("192.168.0.1",),
        ("not an address",),
    ],
    ids=["U005-a", "U005-aaaa", "U005-mixed", "U005-one-of-30", "U005-odd"],
)
def test_every_answer_of_the_name_server_is_checked(answers: tuple[str, ...]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        _resolve(*answers)
    assert caught.value.code is Code.ENDPOINT_REFUSED


def test_public_answers_are_returned_once_each() -> None:
    assert _resolve("8.8.8.8", "1.1.1.1", "8.8.8.8") == ("8.8.8.8", "1.1.1.1")


def test_private_answers_need_the_operators_word() -> None:
    assert _resolve("10.0.0.1", allow_private=True) == ("10.0.0.1",)
    with pytest.raises(EvaluatorError):
        _resolve("169.254.169.254", allow_private=True)


def test_a_name_without_an_address_is_unreachable() -> None:
    with pytest.raises(EvaluatorError) as caught:
        _resolve()
    assert caught.value.code is Code.ENDPOINT_UNREACHABLE


def test_a_resolver_that_fails_is_unreachable() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(
            resolve(
                check("https://a.example.org", allow_private=False),
                allow_private=False,
                lookup=lookup,
            )
        )
    assert caught.value.code is Code.ENDPOINT_UNREACHABLE


def test_the_system_resolver_is_asked_by_default() -> None:
    target = check("http://localhost:80", allow_private=True)
    assert set(asyncio.run(resolve(target, allow_private=True))) <= {"127.0.0.1", "::1"}
    with pytest.raises(EvaluatorError):
        asyncio.run(resolve(target, allow_private=False))
