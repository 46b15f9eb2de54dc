"""The public ledger as JSON, mounted at ``/api/v1``: lines, signed heads, and proofs about both."""

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema

from evaluator.contract import canonical_json
from evaluator.errors import EvaluatorError
from evaluator.ledger.entries import origin
from evaluator.ledger.notes import vkey
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry, Evaluator, Grant, ListedEndpoint

MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

router = Router(tags=["ledger"])


class LedgerQuery(Schema):
    """Choice of a part of the ledger. ``before`` is the ``id`` of the last line already seen; empty
    values filter nothing."""

    evaluator: str = Field("", max_length=80)
    set: str = Field("", max_length=80)
    recipient: str = Field("", max_length=300)
    tier: Literal["", "T0", "T1", "T2", "T3"] = ""
    kind: Literal["", "exposure", "closing", "enrolment", "opening", "drill"] = ""
    run: UUID | None = None
    before: int | None = Field(None, ge=1, le=2**62)
    limit: int = Field(100, ge=1, le=1000)


class LinesQuery(Schema):
    """Choice of lines of one log, by index."""

    start: int = Field(0, ge=0, le=2**31 - 1)
    limit: int = Field(1000, ge=1, le=10_000)


class PageQuery(Schema):
    """Choice of a page of a list. ``after`` is the ``id`` of the last one already seen."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(1000, ge=1, le=10_000)


@router.get(
    "/ledger", auth=None, summary="What evaluators say they did with sealed sets, newest first"
)
def ledger(request: HttpRequest, query: Query[LedgerQuery]) -> dict[str, Any]:
    """Signed lines of the evaluators' logs, each whole. A set's items were dealt by lot: an index
    tells nothing."""
    wanted = {
        name: getattr(query, name) for name in ("evaluator", "set", "recipient", "tier", "kind")
    }
    entries = Entry.objects.published().matching(
        **wanted, run=str(query.run) if query.run else None
    )
    if query.before is not None:
        entries = entries.filter(pk__lt=query.before)
    return {
        "entries": [
            {"id": one.pk, "entry_hash": one.entry_hash} | one.line
            for one in entries[: query.limit]
        ],
    }


@router.get(
    "/evaluators", auth=None, summary="The evaluators, their keys, and how far their logs are known"
)
def evaluators(request: HttpRequest) -> dict[str, Any]:
    """``vkey`` verifies the heads of the log as C2SP signed notes; ``report_pub`` every line of it."""
    return {"evaluators": [_evaluator(one) for one in Evaluator.objects.order_by("name")]}


@router.get("/ledger/{evaluator}/lines", auth=None, summary="The lines of one log as JSON lines")
def lines(request: HttpRequest, evaluator: str, query: Query[LinesQuery]) -> HttpResponse:
    """In order. The bytes of a line, without its end, are the data of its leaf in the log's tree."""
    known = _known(evaluator)
    chained = known.entries.filter(status=Entry.Status.CHAINED, index__gte=query.start).order_by(
        "index"
    )
    content = b"".join(canonical_json(one.line) + b"\n" for one in chained[: query.limit])
    return HttpResponse(content, content_type="application/jsonl")


@router.get(
    "/ledger/{evaluator}/head",
    auth=None,
    summary="The newest signed head that agrees with the lines",
)
def head(request: HttpRequest, evaluator: str) -> HttpResponse:
    """A C2SP signed note."""
    newest = _known(evaluator).heads.filter(agrees=True).order_by("-size").first()
    if newest is None:
        raise refuse(Refusal.NOT_FOUND, "no head yet")
    return HttpResponse(newest.note, content_type="text/plain; charset=utf-8")


@router.get(
    "/ledger/{evaluator}/heads", auth=None, summary="Every head that the evaluator ever signed"
)
def heads(request: HttpRequest, evaluator: str, query: Query[PageQuery]) -> dict[str, Any]:
    """As they came, oldest first. Also such as contradict its lines: those are evidence.

    ``agrees`` is null while the lines are not there yet.
    """
    known = _known(evaluator).heads.filter(pk__gt=query.after).order_by("pk")
    names = ("size", "root", "agrees", "note")
    return {
        "heads": [
            {"id": one.pk} | {name: getattr(one, name) for name in names}
            for one in known[: query.limit]
        ]
    }


@router.get(
    "/grants", auth=None, summary="What the site allowed each attempt to show to whom, oldest first"
)
def grants(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """``hash`` is SHA-256 of a zero byte and the canonical JSON of ``kind`` ("grant"), ``version``
    (2), ``run``, ``token``, ``recipient``, ``salt`` and ``sets``, so that anyone can make it again.
    ``recipient`` and ``salt`` are null until an evaluator's log shows a reveal for the run, which
    names the recipient. Grants of version 1 have no salt. ``items`` are bitmaps in base64, least
    significant bit first: the items of a set that the attempt may still ask; ``blocks`` is empty
    for a whole set."""
    known = Grant.objects.with_opened().filter(pk__gt=query.after).order_by("pk")
    return {"grants": [_grant(one) for one in known[: query.limit]]}


@router.get(
    "/endpoints",
    auth=None,
    summary="The endpoints that are asked as T1, with a key of the maintainers",
)
def endpoints(request: HttpRequest) -> dict[str, Any]:
    """A submission is T1 where it names one of them exactly, letter by letter, and brings no key of
    its own."""
    names = ("url", "model", "api", "provider")
    return {
        "endpoints": [
            {name: getattr(one, name) for name in names} for one in ListedEndpoint.objects.all()
        ]
    }


@router.get(
    "/ledger/{evaluator}/proof/inclusion", auth=None, summary="That a line is in the log of a size"
)
def inclusion(request: HttpRequest, evaluator: str, index: int, size: int) -> dict[str, Any]:
    """RFC 6962, 2.1.1: the nodes from the leaf upwards, in hexadecimal."""
    tree = _known(evaluator).tree()
    try:
        return {
            "proof": [node.hex() for node in tree.inclusion(index, size)],
            "root": tree.root(size).hex(),
        }
    except EvaluatorError:
        raise refuse(Refusal.INVALID_FIELD, "index or size") from None


@router.get(
    "/ledger/{evaluator}/proof/consistency",
    auth=None,
    summary="That a log only grew between two sizes",
)
def consistency(request: HttpRequest, evaluator: str, first: int, second: int) -> dict[str, Any]:
    """RFC 6962, 2.1.2: the nodes in hexadecimal."""
    tree = _known(evaluator).tree()
    try:
        nodes = [node.hex() for node in tree.consistency(first, second)]
        return {
            "proof": nodes,
            "first_root": tree.root(first).hex(),
            "second_root": tree.root(second).hex(),
        }
    except EvaluatorError:
        raise refuse(Refusal.INVALID_FIELD, "first or second") from None


def _known(name: str) -> Evaluator:
    known = Evaluator.objects.filter(name=name).first()
    if known is None:
        raise refuse(Refusal.NOT_FOUND, "evaluator")
    return known


def _grant(one: Any) -> dict[str, Any]:
    names = ("name", "digest", "sealed", "blocks", "items")
    return {
        "id": one.pk,
        "run": str(one.run),
        "token": one.token,
        "version": 2 if one.salt else 1,
        "recipient": one.recipient if one.opened else None,
        **({"salt": one.salt if one.opened else None} if one.salt else {}),
        "sets": [{name: granted[name] for name in names} for granted in one.sets],
        "hash": one.hash,
        "created": one.created.strftime(MOMENT),
    }


def _evaluator(one: Evaluator) -> dict[str, Any]:
    return {
        "name": one.name,
        "origin": origin(one.name),
        "report_pub": one.public_key,
        "host_pub": one.host_pub,
        "vkey": vkey(one.name, one.public_key),
        "lines": one.head_index + 1,
        "flagged": one.flagged,
    }
