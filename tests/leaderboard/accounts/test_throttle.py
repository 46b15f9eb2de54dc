"""Signing in and making accounts cost attempts, before a password is hashed."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.test import Client
from django.utils import timezone

from leaderboard.accounts import actions, throttle
from leaderboard.accounts.models import Bucket
from leaderboard.errors import Refusal, SiteError

PASSWORD = "plugboard 7 rotor"
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture(autouse=True)
def hashed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that was hashed."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    found: list[str] = []
    plain = hashers.MD5PasswordHasher.encode

    def encode(self: Any, password: str, salt: str) -> str:
        found.append(password)
        return plain(self, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", encode)
    return found


@pytest.fixture
def ada(db: None) -> Any:
    return actions.sign_up(
        username="ada", password=PASSWORD, organisation="Analytical", email="ada@lab.example"
    )


def sign_in(username: str, password: str, address: str = HERE, **headers: str) -> Any:
    fields = {"login": username, "password": password}
    return Client().post("/accounts/sign-in/", fields, REMOTE_ADDR=address, headers=headers)


def later(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = timezone.now() + timedelta(seconds=seconds)
    monkeypatch.setattr(timezone, "now", lambda: moment)


def test_guessing_ends_before_a_hash(ada: Any, hashed: list[str]) -> None:
    statuses = [sign_in("ada", f"guess {number}").status_code for number in range(60)]
    assert statuses == [200] * 10 + [429] * 50
    assert len(set(hashed)) <= 10 + 1  # and the one of the account itself
    refused = sign_in("ada", PASSWORD)
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 30
    assert PASSWORD not in hashed[1:]


def test_attempts_from_elsewhere_lock_nobody_out(ada: Any) -> None:
    for number in range(40):
        sign_in("ada", f"guess {number}", THERE)
    assert sign_in("ada", PASSWORD, THERE).status_code == 429
    assert sign_in("ada", PASSWORD, HERE).status_code == 302


def test_one_address_cannot_walk_through_the_accounts(ada: Any, hashed: list[str]) -> None:
    hashed.clear()
    statuses = [sign_in(f"name-{number}", "guess").status_code for number in range(60)]
    assert statuses == [200] * 30 + [429] * 30


def test_attempts_come_back(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(11):
        last = sign_in("ada", f"guess {number}")
    assert last.status_code == 429
    later(int(last.headers["Retry-After"]), monkeypatch)
    assert sign_in("ada", PASSWORD).status_code == 302
    assert sign_in("ada", "guess").status_code == 200, "a success gives the attempts back"


def test_an_unknown_name_is_answered_alike(ada: Any, hashed: list[str]) -> None:
    hashed.clear()
    for name in ("ada", "nobody"):
        for number in range(12):
            answer = sign_in(name, f"guess {number}", HERE if name == "ada" else THERE)
            assert answer.status_code == (200 if number < 10 else 429)
    assert len(hashed) == 20, "an unknown name costs a hash too"


def test_tokens_only_accounts_cost_a_hash_too(db: None, hashed: list[str]) -> None:
    actions.enrol(username="robot")
    hashed.clear()
    assert sign_in("robot", "guess").status_code == 200
    assert len(hashed) == 1


@pytest.mark.parametrize("name", ["Ada", "ADA"])
def test_case_is_no_way_around(ada: Any, name: str) -> None:
    for number in range(10):
        sign_in("ada", f"guess {number}")
    assert sign_in(name, "guess").status_code == 429


def test_making_accounts_is_limited(db: None, hashed: list[str]) -> None:
    def join(number: int) -> int:
        fields = {
            "username": f"u{number}",
            "email": f"u{number}@lab.example",
            "organisation": f"O {number}",
            "password1": PASSWORD,
            "password2": PASSWORD,
        }
        return Client().post("/accounts/sign-up/", fields, REMOTE_ADDR=HERE).status_code

    statuses = [join(number) for number in range(32)]
    assert statuses == [302] * 30 + [429] * 2
    assert hashed.count(PASSWORD) == 30


def test_a_forwarded_address_counts_only_from_the_proxy(ada: Any, settings: Any) -> None:
    statuses = [
        sign_in("ada", "x", **{"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(12)
    ]
    assert statuses[-1] == 429, "a stranger's own header changes nothing"
    settings.PROXIES = [f"{HERE}/32"]
    assert sign_in("ada", "x", **{"X-Forwarded-For": "198.51.100.7"}).status_code == 200
    spoofed = [
        sign_in("ada", "x", **{"X-Forwarded-For": f"10.9.9.{number}, 198.51.100.8"})
        for number in range(12)
    ]
    assert spoofed[-1].status_code == 429, "only what the proxy itself wrote counts"


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "expected"),
    [  # the connection's address, what it forwards, the proxies that count, the visitor
        ("192.0.2.1", "203.0.113.9", [], "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", ["192.0.2.0/24"], "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9, 192.0.2.5", ["192.0.2.0/24"], "203.0.113.9"),
        ("192.0.2.1", "6.6.6.6, 203.0.113.9", ["192.0.2.0/24"], "203.0.113.9"),
        ("192.0.2.1", "nonsense", ["192.0.2.0/24"], "192.0.2.1"),
        ("192.0.2.1", "", ["192.0.2.0/24"], "192.0.2.1"),
        ("", "203.0.113.9", ["unix"], "203.0.113.9"),
        ("", "203.0.113.9", ["127.0.0.1"], ""),
        ("::1", "2001:db8:1:2:3:4:5:6", ["::1"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "", [], "2001:db8:1:2::/64"),
    ],
)
def test_visitors(  # noqa: PLR0917
    rf: Any, settings: Any, remote: str, forwarded: str, proxies: list[str], expected: str
) -> None:
    settings.PROXIES = proxies
    assert (
        throttle.visitor(rf.get("/", REMOTE_ADDR=remote, headers={"X-Forwarded-For": forwarded}))
        == expected
    )


def test_few_passwords_are_hashed_at_once(ada: Any) -> None:
    leave, results = threading.Event(), []

    def hold() -> None:
        try:
            with throttle.hashing():
                results.append("in")
                leave.wait(30)
        except SiteError as failure:
            results.append(failure.code)

    threads = [threading.Thread(target=hold) for _ in range(9)]
    for one in threads:
        one.start()
    for one in threads[4:]:
        one.join(0.2)
    busy = sign_in("ada", PASSWORD)
    assert busy.status_code == 503 and busy.headers["Retry-After"] == "5"
    assert results.count("in") == 1 and results.count(Refusal.BUSY) == 5
    leave.set()
    for one in threads:
        one.join()
    assert sign_in("ada", PASSWORD).status_code == 302


def test_full_buckets_are_deleted(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        sign_in(f"name-{number}", "x")
    assert Bucket.objects.count() == 6
    later(3600, monkeypatch)
    sign_in("other", "x")
    assert Bucket.objects.count() == 2


def test_no_name_is_stored(ada: Any) -> None:
    sign_in("my-password-by-mistake", "x")
    assert all(len(one.key) == 64 for one in Bucket.objects.all())


def test_a_site_without_the_charge_is_found_out(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "charge_sign_in", lambda *_: None)
    with pytest.raises(AssertionError):
        test_guessing_ends_before_a_hash(ada, [])
