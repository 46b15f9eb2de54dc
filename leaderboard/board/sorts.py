"""Orders of a board's rows, as SQL. Missing values stand last; ties keep the order by private
score."""

from collections.abc import Mapping
from typing import NamedTuple

from django.db.models import F, OrderBy


class Sort(NamedTuple):
    """One order: its label in the form, and the expressions for ``QuerySet.order_by``."""

    label: str
    order_by: tuple[OrderBy, ...]


def _up(column: str) -> OrderBy:
    return F(column).asc(nulls_last=True)


def _down(column: str) -> OrderBy:
    return F(column).desc(nulls_last=True)


_PLACE = F("position").asc()
SORTS: Mapping[str, Sort] = {
    "private": Sort("by private score", (_PLACE,)),
    "public": Sort("by public score", (_up("public_rank"), _PLACE)),
    "gap": Sort("largest gap first", (_down("gap"), _PLACE)),
    "adjusted": Sort("largest adjusted gap first", (_down("adjusted"), _PLACE)),
    "evidence": Sort("by evidence", (_up("evidence_order"), _down("gap"), _PLACE)),
    "size": Sort("largest model first", (_down("parameters"), _PLACE)),
    "family": Sort("by family", (_up("family_key"), _PLACE)),
    "organisation": Sort("by organisation", (_up("organisation_key"), _PLACE)),
    "access": Sort("by access", (_up("access"), _PLACE)),
    "protocol": Sort("by protocol", (_up("protocol"), _PLACE)),
    "tries": Sort("most tries first", (_down("tries"), _PLACE)),
    "date": Sort("newest first", (_down("ended"), _PLACE)),
    "model": Sort("by name", (_up("model_key"), _PLACE)),
}
