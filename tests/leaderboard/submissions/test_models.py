"""The database refuses what no program should write."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from leaderboard.accounts.models import Organisation
from leaderboard.submissions.models import (
    Model,
    Receipt,
    Run,
    RunOutcomes,
    Submission,
    seconds_from_now,
)


def test_the_migrations_are_those_of_the_models(db: None) -> None:
    call_command("makemigrations", "--check", "--dry-run")


def refused(write: Any, constraint: str) -> None:
    with pytest.raises(IntegrityError) as failure, transaction.atomic():
        write()
    assert failure.value.__cause__ is not None
    assert failure.value.__cause__.diag.constraint_name == constraint  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"name": "a b"}, "model_name_is_plain"),
        ({"name": ""}, "model_name_is_plain"),
        ({"name": "-a"}, "model_name_is_plain"),
        ({"name": "m\u043e"}, "model_name_is_plain"),
        ({"parameters": 0}, "model_has_parameters"),
        ({"name": "TAKEN"}, "model_name_unique_without_case"),
    ],
)
def test_models(user: Any, fields: Any, constraint: str) -> None:
    organisation = Organisation.objects.get()
    Model.objects.create(name="taken", organisation=organisation)
    refused(
        lambda: Model.objects.create(**{"name": "m", "organisation": organisation} | fields),
        constraint,
    )


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"kind": "other"}, "submission_is_one_kind"),
        ({"checkpoint": ""}, "submission_is_one_kind"),
        ({"checkpoint": "../x"}, "submission_is_one_kind"),
        ({"url": "https://h.example"}, "submission_is_one_kind"),
        ({"sealed_keys": {"evaluator-1": "QUJD"}}, "submission_is_one_kind"),
        (
            {
                "kind": "endpoint",
                "checkpoint": "",
                "url": "ftp://h",
                "served_model": "m",
                "api": "chat",
            },
            None,
        ),
        ({"fingerprint": "x"}, "submission_has_fingerprint"),
    ],
)
def test_submissions(run: Any, fields: Any, constraint: str | None) -> None:
    refused(
        lambda: Submission.objects.filter(pk=run.submission_id).update(**fields),
        constraint or "submission_is_one_kind",
    )


def test_a_key_in_the_clear_is_refused(run: Any) -> None:
    fields = {
        "kind": "endpoint",
        "checkpoint": "",
        "url": "https://h.example",
        "served_model": "m",
        "api": "chat",
    }
    Submission.objects.filter(pk=run.submission_id).update(**fields)
    one = Submission.objects.filter(pk=run.submission_id)
    refused(
        lambda: one.update(sealed_keys={"evaluator-1": "sk-in-the-clear"}),
        "submission_key_is_sealed",
    )
    refused(
        lambda: one.update(sealed_keys={"evaluator-1": "QUJD", "b": "sk-in"}),
        "submission_key_is_sealed",
    )
    one.update(sealed_keys={"evaluator-1": "QUJD", "evaluator-2": "QUI="})


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"state": "paused"}, None),
        ({"state": "leased"}, "run_has_a_lease_while_it_is_live"),
        ({"lease_expires": seconds_from_now(1)}, "run_has_a_lease_while_it_is_live"),
        ({"state": "graded"}, "run_has_an_end_when_it_ended"),
        ({"ended_at": seconds_from_now(0)}, "run_has_an_end_when_it_ended"),
        ({"state": "failed", "ended_at": seconds_from_now(0)}, "run_has_a_code_when_it_failed"),
        ({"code": "lost", "fault": "ours"}, "run_has_a_code_when_it_failed"),
        ({"done": 17}, "run_done_within_total"),
        ({"token": 0}, "run_attempt_is_well_formed"),
        ({"worker": "me"}, "run_attempt_is_well_formed"),
    ],
)
def test_runs(run: Any, fields: Any, constraint: str | None) -> None:
    def write() -> None:
        Run.objects.filter(pk=run.pk).update(**fields)

    if constraint:
        refused(write, constraint)
    else:
        with pytest.raises(IntegrityError), transaction.atomic():
            write()


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"packed": bytes(6)}, "outcomes_one_byte_per_item"),
        ({"packed": bytes(8)}, "outcomes_one_byte_per_item"),
        ({"right": 8}, "outcomes_within_n"),
        ({"right": 4, "not_counted": 4}, "outcomes_within_n"),
    ],
)
def test_outcomes(run: Any, fields: Any, constraint: str) -> None:
    rows = RunOutcomes.objects.filter(run=run, item_set__name="public")
    refused(lambda: rows.update(**fields), constraint)


def test_receipts_are_unique_without_any_program(run: Any) -> None:
    fields = {"run": run, "token": 1, "worker": "a" * 32, "sequence": 1}
    Receipt.objects.create(**fields)
    refused(lambda: Receipt.objects.create(**fields), "receipt_once")
