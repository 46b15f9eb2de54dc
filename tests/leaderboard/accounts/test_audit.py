"""The log of what maintainers do cannot be changed."""

import pytest
from django.db import DatabaseError, connection, transaction

from leaderboard.accounts import actions
from leaderboard.accounts.models import AuditEntry


@pytest.fixture
def entry(db: None) -> AuditEntry:
    actions.record_act(actor="keeper", act="probe", subject="x" * 400)
    return AuditEntry.objects.get()


def test_an_entry_is_final(entry: AuditEntry) -> None:
    for attempt in (
        lambda: AuditEntry.objects.update(actor="nobody"),
        lambda: AuditEntry.objects.all().delete(),
        entry.save,
    ):
        with pytest.raises(DatabaseError, match="final"), transaction.atomic():
            attempt()
    assert AuditEntry.objects.get().actor == "keeper"


def test_the_log_is_not_emptied(entry: AuditEntry) -> None:
    with connection.cursor() as cursor:
        # What the migration made, and tests took away.
        cursor.execute(
            "CREATE TRIGGER audit_log_is_final BEFORE TRUNCATE ON accounts_auditentry"
            " FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_is_final()"
        )
        with pytest.raises(DatabaseError, match="final"), transaction.atomic():
            cursor.execute("TRUNCATE accounts_auditentry")


def test_without_the_trigger_it_could_be_changed(entry: AuditEntry) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER audit_entry_is_final ON accounts_auditentry")
    assert AuditEntry.objects.update(actor="nobody") == 1
