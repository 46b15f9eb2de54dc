"""Writes of this app: tables that others published."""

from dataclasses import asdict

from django.core.exceptions import ValidationError
from django.db import transaction

from leaderboard.errors import Refusal, conflicts_refused, refuse
from leaderboard.published.analysis import analyse
from leaderboard.published.csv_import import Table
from leaderboard.published.models import PublishedRow, PublishedTable


@transaction.atomic
def import_published(
    *,
    table: Table,
    slug: str,
    title: str,
    source: str,
    url: str = "",
    equally_hard: str = "",
    ran_by: str = "",
) -> PublishedTable:
    """Keep a table that others published and its analysis, whole or not at all; a file that is known is left as it is.

    Raises ``already_registered`` where another file has the slug, ``invalid_field`` where a text does not fit.
    """
    known = PublishedTable.objects.filter(digest=table.digest).first()
    if known is not None:
        return known
    if PublishedTable.objects.filter(slug=slug).exists():
        raise refuse(Refusal.ALREADY_REGISTERED)
    one = PublishedTable(
        slug=slug,
        title=title,
        source=source,
        url=url,
        equally_hard=equally_hard,
        ran_by=ran_by,
        public_name=table.public_name,
        private_name=table.private_name,
        digest=table.digest,
    )
    try:
        one.full_clean()
    except ValidationError as failure:
        raise refuse(Refusal.INVALID_FIELD, ", ".join(sorted(failure.message_dict))) from None
    with conflicts_refused():
        one.save()
    PublishedRow.objects.bulk_create(
        PublishedRow(table=one, **asdict(line)) for line in table.lines
    )
    analyse(one).save()
    return one
