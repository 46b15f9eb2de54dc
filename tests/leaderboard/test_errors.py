"""The site's errors: each explained, and none that repeats what a database quoted."""

import logging
from pathlib import Path

import pytest
from django.db import IntegrityError

from evaluator.errors import Code, Fault
from leaderboard.errors import (
    REFUSALS,
    QuietFormatter,
    Refusal,
    SiteError,
    SiteUnavailable,
    explain,
    quiet_database,
    refuse,
    sqlstate,
)
from leaderboard.submissions.models import Receipt

CANARY = "CNRY seventeen violet kayaks"


@pytest.mark.parametrize("code", [*Refusal, *Code])
def test_every_code_is_explained(code: Refusal | Code) -> None:
    told = refuse(code).to_dict()
    assert told["code"] == code and told["message"].endswith(".") and told["advice"].endswith(".")
    assert 400 <= refuse(code).status <= 503
    assert explain(code, "the field")["message"].endswith(": the field.")


def test_faults_of_ours_and_no_others_are_5xx_or_for_operators() -> None:
    for code, known in REFUSALS.items():
        assert (known.fault is Fault.OURS) or known.status < 500, code


def test_a_database_error_becomes_its_code(run: object) -> None:
    from django.db import transaction

    with pytest.raises(SiteError) as refused, quiet_database(), transaction.atomic():
        Receipt.objects.create(run_id=run.pk, token=-1, worker=CANARY[:32], sequence=1)  # type: ignore[attr-defined]
    assert isinstance(refused.value, SiteUnavailable)
    assert refused.value.detail == "23514", "check_violation"
    assert refused.value.__suppress_context__
    assert CANARY[:20] not in str(refused.value)


def test_logs_hold_stacks_but_no_words_of_an_exception(run: object) -> None:
    from django.db import transaction

    formatter = QuietFormatter("%(message)s")
    try:
        with transaction.atomic():
            Receipt.objects.create(run_id=run.pk, token=-1, worker=CANARY[:32], sequence=1)  # type: ignore[attr-defined]
    except IntegrityError as failure:
        record = logging.LogRecord(
            "x",
            logging.ERROR,
            "x",
            1,
            "failed",
            (),
            (type(failure), failure, failure.__traceback__),
        )
        assert CANARY[:20] in str(failure), "the control: the database does quote the row"
        assert sqlstate(failure) == "23514"
    text = formatter.format(record)
    assert CANARY[:20] not in text
    assert "test_errors.py" in text and text.endswith("IntegrityError 23514")


def test_the_servers_log_holds_no_row(run: object, postgres_log: Path) -> None:
    from django.db import transaction

    with pytest.raises(IntegrityError), transaction.atomic():
        Receipt.objects.create(run_id=run.pk, token=-1, worker=CANARY[:32], sequence=1)  # type: ignore[attr-defined]
    log = postgres_log.read_text(errors="replace")
    assert "violates check constraint" in log, "the control: the error is in the log"
    assert CANARY[:20] not in log
