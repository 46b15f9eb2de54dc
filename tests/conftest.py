"""What every test may use comes from tests/services.py; only overrides of plugins' fixtures stand here."""

import pytest
from hypothesis import settings

# A test that is slow because the machine is busy has found nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def django_db_setup(postgres_url: str, django_db_setup: None) -> None:
    """Start the server before pytest-django makes its test database there."""
