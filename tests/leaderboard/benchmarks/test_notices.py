"""Notices of maintainers: signed, chained, never taken back; the board is made anew over what still counts."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from evaluator.ledger import signatures
from evaluator.ledger.notices import Notice as SignedNotice
from evaluator.ledger.notices import notice_hash, sign_notice
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import ItemSet, Notice, SetPair
from leaderboard.errors import Refusal, SiteError
from tests.leaderboard.ruled import make_heir, make_pair, notice

pytestmark = pytest.mark.django_db


@pytest.fixture
def private() -> ItemSet:
    pair = make_pair()
    make_pair(slug="other")
    make_heir(pair)
    return pair.private


def chain(item_set: ItemSet) -> list[SignedNotice]:
    """A block and an item are retired, then the whole set."""
    sent = [notice(item_set, kind="retire_block", reason="spent", block=1)]
    sent.append(notice(item_set, sent, signer="grace", kind="erratum", reason="wrong_gold", item=0))
    sent.append(notice(item_set, sent, signer="mary", kind="compromise", reason="leaked"))
    return sent


def post(sent: list[SignedNotice]) -> ItemSet:
    return post_notices(data=[one.to_dict() for one in sent])


def refused(work: Callable[[], object]) -> Refusal:
    with pytest.raises(SiteError) as caught:
        work()
    assert isinstance(caught.value.code, Refusal)
    return caught.value.code


def test_notices_are_kept_in_order_and_counted(private: ItemSet) -> None:
    sent = chain(private)
    assert post(sent[:1]).version == 1
    assert post(sent).version == 3
    kept = list(Notice.objects.filter(item_set=private).values_list("index", "hash"))
    assert kept == [(place, notice_hash(one)) for place, one in enumerate(sent)]
    assert ItemSet.objects.get(pk=private.pk).signed_notices() == tuple(sent)
    assert set(ItemSet.objects.exclude(pk=private.pk).values_list("version", flat=True)) == {0}


def test_the_rankings_of_the_set_become_stale_and_no_others(private: ItemSet) -> None:
    sent = chain(private)
    for number in (1, 2):
        SetPair.objects.update(stale=False)
        post(sent[:number])
        assert dict(SetPair.objects.values_list("slug", "stale")) == {"pair": True, "other": False}


def test_the_same_notices_once_more_change_nothing(private: ItemSet) -> None:
    sent = chain(private)
    post(sent)
    kept = list(Notice.objects.order_by("pk").values())
    assert post(sent).version == 3
    assert list(Notice.objects.order_by("pk").values()) == kept


@pytest.mark.parametrize("known", [1, 2, 3])
def test_a_notice_that_was_posted_is_never_missing(private: ItemSet, known: int) -> None:
    sent = chain(private)
    post(sent[:known])
    for fewer in range(known):
        assert refused(lambda fewer=fewer: post(sent[:fewer])) is Refusal.BAD_NOTICE
    assert (Notice.objects.count(), ItemSet.objects.get(pk=private.pk).version) == (known, known)


def test_a_notice_that_was_posted_is_never_another_one(private: ItemSet) -> None:
    """A maintainer signs another past: sound in itself, but not what is known."""
    sent = chain(private)
    post(sent[:1])
    other = [notice(private, kind="retire_block", reason="spent", block=0)]
    other.append(notice(private, other, kind="erratum", reason="wrong_gold", item=5))
    assert refused(lambda: post(other)) is Refusal.BAD_NOTICE
    assert ItemSet.objects.get(pk=private.pk).signed_notices() == tuple(sent[:1])
    ItemSet.objects.get(pk=private.pk).notices.all().delete()
    assert post(other).version == 2, "it would be taken if nothing were known"


def strangers(private: ItemSet) -> list[dict[str, Any]]:
    fields = notice(private, kind="compromise", reason="leaked").to_dict()
    del fields["signature"]
    return [sign_notice(signatures.generate(), **fields).to_dict()]


def of_another_set(private: ItemSet) -> list[dict[str, Any]]:
    other = SetPair.objects.get(slug="other").private
    return [notice(other, kind="compromise", reason="leaked").to_dict() | {"set": private.name}]


def changed(private: ItemSet) -> list[dict[str, Any]]:
    return [notice(private, kind="erratum", reason="ambiguous", item=1).to_dict() | {"item": 2}]


def with_a_gap(private: ItemSet) -> list[dict[str, Any]]:
    return [one.to_dict() for one in chain(private)[1:]]


def in_another_order(private: ItemSet) -> list[dict[str, Any]]:
    return [one.to_dict() for one in reversed(chain(private))]


def about_a_block_that_is_none(private: ItemSet) -> list[dict[str, Any]]:
    return [notice(private, kind="retire_block", reason="spent", block=3).to_dict()]


def about_an_item_that_is_none(private: ItemSet) -> list[dict[str, Any]]:
    return [notice(private, kind="erratum", reason="wrong_gold", item=9).to_dict()]


def with_a_sentence(private: ItemSet) -> list[dict[str, Any]]:
    return [
        notice(private, kind="compromise", reason="leaked").to_dict()
        | {"text": "the answer to item 3"}
    ]


def of_no_set(private: ItemSet) -> list[dict[str, Any]]:
    stranger = ItemSet(name="nowhere", digest=private.digest)
    return [notice(stranger, kind="compromise", reason="leaked").to_dict()]


def of_a_public_set(private: ItemSet) -> list[dict[str, Any]]:
    return [
        notice(ItemSet.objects.get(name="public"), kind="compromise", reason="leaked").to_dict()
    ]


def nothing(private: ItemSet) -> list[dict[str, Any]]:
    return []


@pytest.mark.parametrize(
    "forge",
    [
        strangers, of_another_set, changed, with_a_gap, in_another_order, about_a_block_that_is_none,
        about_an_item_that_is_none, with_a_sentence, of_no_set, of_a_public_set, nothing,
    ],
)  # fmt: skip
def test_notices_that_do_not_hold(
    private: ItemSet, forge: Callable[[ItemSet], list[dict[str, Any]]]
) -> None:
    assert refused(lambda: post_notices(data=forge(private))) is Refusal.BAD_NOTICE
    assert not Notice.objects.exists()
    assert (
        not ItemSet.objects.exclude(version=0).exists()
        and not SetPair.objects.filter(stale=True).exists()
    )


@pytest.mark.parametrize("data", [[None], ["x"], [{}], [[]]], ids=repr)
def test_what_is_no_notice_at_all(private: ItemSet, data: list[Any]) -> None:
    assert refused(lambda: post_notices(data=data)) is Refusal.BAD_NOTICE


def test_the_command(private: ItemSet, tmp_path: Path) -> None:
    sent, path = chain(private), tmp_path / "notices.jsonl"
    path.write_text("".join(json.dumps(one.to_dict()) + "\n" for one in sent[:2]))
    out = StringIO()
    call_command("post_notices", str(path), stdout=out)
    assert out.getvalue() == "private: version 2\n"
    for number, content in enumerate(
        (b"", b"{", b"\xff\n", json.dumps(sent[0].to_dict()).encode())
    ):
        bad = tmp_path / f"{number}.jsonl"
        bad.write_bytes(content)
        with pytest.raises(CommandError):
            call_command("post_notices", str(bad))
    for bad in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("post_notices", str(bad))
    assert Notice.objects.count() == 2
