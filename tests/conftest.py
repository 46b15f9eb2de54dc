"""What every test may use comes from tests/services.py; only overrides of plugins' fixtures stand here."""

import gc
from typing import Any

import pytest
from hypothesis import settings

# A test that is slow because the machine is busy has found nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Keep what was imported and collected, which lives to the end, out of garbage collections."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(postgres_url: str, django_db_setup: None, django_db_blocker: Any) -> None:
    """Start the server before pytest-django makes its test database there.

    Tests that need real transactions empty all tables afterwards, the log of maintainers' acts and the ledger of
    quotas too.
    """
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER audit_log_is_final ON accounts_auditentry")
        cursor.execute("DROP TRIGGER quota_ledger_is_final ON submissions_quotaentry")
