"""Writes of this app: imports of published tables."""

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
    same_problems: bool = False,
    ran_by: str = "",
) -> PublishedTable:
    """Store a published table with its analysis; return the stored one for a known file.

    Raises ``already_registered`` if another file has the slug, ``invalid_field`` for a bad text
    and for sets of the same problems that are held to be equally hard.
    """
    known = PublishedTable.objects.filter(digest=table.digest).first()
    if known is not None:
        return known
    if same_problems and equally_hard:
        raise refuse(Refusal.INVALID_FIELD, "equally_hard")
    if PublishedTable.objects.filter(slug=slug).exists():
        raise refuse(Refusal.ALREADY_REGISTERED)
    published = PublishedTable(
        slug=slug,
        title=title,
        source=source,
        url=url,
        equally_hard=equally_hard,
        same_problems=same_problems,
        ran_by=ran_by,
        public_name=table.public_name,
        private_name=table.private_name,
        digest=table.digest,
    )
    try:
        published.full_clean()
    except ValidationError as failure:
        raise refuse(Refusal.INVALID_FIELD, ", ".join(sorted(failure.message_dict))) from None
    with conflicts_refused():
        published.save()
    PublishedRow.objects.bulk_create(
        PublishedRow(table=published, **asdict(line)) for line in table.lines
    )
    analyse(published).save()
    return published
