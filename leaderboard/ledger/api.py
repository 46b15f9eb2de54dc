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
    """Filters of the ledger; empty values filter nothing.

    ``before`` is the ``id`` of the last line of the previous page.
    """

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
    """Choice of a page of a list. ``after`` is the last ``id`` of the previous page."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(1000, ge=1, le=10_000)


@router.get(
    "/ledger", auth=None, summary="Evaluators' signed log lines about sealed sets, newest first"
)
def ledger(request: HttpRequest, query: Query[LedgerQuery]) -> dict[str, Any]:
    """Return whole signed lines. Items have a random order: an index reveals no content."""
    names = ("evaluator", "set", "recipient", "tier", "kind")
    filters = {name: getattr(query, name) for name in names}
    if query.run:
        filters["run"] = str(query.run)
    entries = Entry.objects.published().matching(**filters)
    if query.before is not None:
        entries = entries.filter(pk__lt=query.before)
    return {
        "entries": [
            {"id": entry.pk, "entry_hash": entry.entry_hash} | entry.line
            for entry in entries[: query.limit]
        ],
    }


@router.get(
    "/evaluators", auth=None, summary="The evaluators, their keys, and how far their logs are known"
)
def evaluators(request: HttpRequest) -> dict[str, Any]:
    """Return their keys: ``vkey`` verifies heads as C2SP signed notes, ``report_pub`` each line."""
    known = Evaluator.objects.order_by("name")
    return {
        "evaluators": [
            {
                "name": evaluator.name,
                "origin": origin(evaluator.name),
                "report_pub": evaluator.public_key,
                "host_pub": evaluator.host_pub,
                "vkey": vkey(evaluator.name, evaluator.public_key),
                "lines": evaluator.head_index + 1,
                "flagged": evaluator.flagged,
            }
            for evaluator in known
        ]
    }


@router.get("/ledger/{evaluator}/lines", auth=None, summary="The lines of one log as JSON lines")
def lines(request: HttpRequest, evaluator: str, query: Query[LinesQuery]) -> HttpResponse:
    """Return the lines in order. A line's bytes, without its end, are a leaf of the log's tree."""
    chained = _known(evaluator).entries.filter(status=Entry.Status.CHAINED)
    following = chained.filter(index__gte=query.start).order_by("index")
    entries = following[: query.limit]
    content = b"".join(canonical_json(entry.line) + b"\n" for entry in entries)
    return HttpResponse(content, content_type="application/jsonl")


@router.get(
    "/ledger/{evaluator}/head",
    auth=None,
    summary="The newest signed head that agrees with the lines",
)
def head(request: HttpRequest, evaluator: str) -> HttpResponse:
    """A C2SP signed note."""
    agreeing = _known(evaluator).heads.filter(agrees=True)
    newest = agreeing.order_by("-size").first()
    if newest is None:
        raise refuse(Refusal.NOT_FOUND, "no head yet")
    return HttpResponse(newest.note, content_type="text/plain; charset=utf-8")


@router.get(
    "/ledger/{evaluator}/heads", auth=None, summary="Every head that the evaluator ever signed"
)
def heads(request: HttpRequest, evaluator: str, query: Query[PageQuery]) -> dict[str, Any]:
    """Return all heads, oldest first, also those that contradict its lines: those are evidence.

    ``agrees`` is null until the site has the lines that the head covers.
    """
    signed = _known(evaluator).heads
    page = signed.filter(pk__gt=query.after).order_by("pk")[: query.limit]
    return {
        "heads": [
            {
                "id": head.pk,
                "size": head.size,
                "root": head.root,
                "agrees": head.agrees,
                "note": head.note,
            }
            for head in page
        ]
    }


@router.get(
    "/grants", auth=None, summary="What the site allowed each attempt to show to whom, oldest first"
)
def grants(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Return the grants with the fields that their hashes cover; without those of practice.

    - ``hash`` is the SHA-256 of a zero byte and the canonical JSON of ``kind`` ("grant"),
      ``version`` (2), ``run``, ``token``, ``recipient``, ``salt`` and ``sets``.
    - ``recipient`` and ``salt`` are null until an evaluator's log shows a reveal for the run, which
      names the recipient. Grants of version 1 have no salt.
    - Grants of an adaptive run are of version 3, and their hashes also cover ``plan``: the digest
      of its plan, which ``/runs`` publishes.
    - ``items`` are bitmaps in base64, least significant bit first: the items of a set that the
      attempt may still ask. ``blocks`` is empty for a whole set.
    """
    stored = Grant.objects.of_sealed_sets().with_opened()
    page = stored.filter(pk__gt=query.after).order_by("pk")[: query.limit]
    return {"grants": [_grant(grant) for grant in page]}


@router.get(
    "/endpoints",
    auth=None,
    summary="The endpoints that are asked as T1, with a key of the maintainers",
)
def endpoints(request: HttpRequest) -> dict[str, Any]:
    """Return the listed endpoints.

    A submission is T1 where it names one of them exactly, letter by letter, and sends no API key.
    """
    listed = ListedEndpoint.objects.values("url", "model", "api", "provider")
    return {"endpoints": list(listed)}


@router.get(
    "/ledger/{evaluator}/proof/inclusion", auth=None, summary="That a line is in the log of a size"
)
def inclusion(
    request: HttpRequest,
    evaluator: str,
    index: int,
    size: int,
) -> dict[str, Any]:
    """Return the nodes from the leaf upwards, in hexadecimal (RFC 6962, 2.1.1)."""
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
def consistency(
    request: HttpRequest,
    evaluator: str,
    first: int,
    second: int,
) -> dict[str, Any]:
    """Return the nodes in hexadecimal (RFC 6962, 2.1.2)."""
    tree = _known(evaluator).tree()
    try:
        return {
            "proof": [node.hex() for node in tree.consistency(first, second)],
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


def _grant(grant: Any) -> dict[str, Any]:
    names = ("name", "digest", "sealed", "blocks", "items")
    version = 1
    if grant.salt:
        version = 2
    if grant.plan:
        version = 3
    sets = []
    for granted in grant.sets:
        sets.append({name: granted[name] for name in names})
    fields = {
        "id": grant.pk,
        "run": str(grant.run),
        "token": grant.token,
        "version": version,
        "recipient": grant.recipient if grant.opened else None,
        "sets": sets,
        "hash": grant.hash,
        "created": grant.created.strftime(MOMENT),
    }
    if grant.salt:
        fields["salt"] = grant.salt if grant.opened else None
    if grant.plan:
        fields["plan"] = grant.plan
    return fields
