"""Time of a dispatch decision with a long queue: ``python -m bench.queue``.

A real PostgreSQL holds 1,000, 10,000 and 50,000 queued runs of 500 organisations, by Zipf's law,
and 20 evaluators that serve. A decision is what the housekeeping does when there are free places:
it reads the queue, chooses by fair share and stores what it sent. The broker is left out. Prints
milliseconds, queries, and the ratio of the best decision to that with the shortest queue; exits 1
where a decision takes more queries as the queue grows.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from unittest import mock

from bench.databases import site

LENGTHS = (1_000, 10_000, 50_000)
ORGANISATIONS = 500
EVALUATORS = 20
DECISIONS = 15
BATCH = 5_000


class Filler:
    """Writer of queued runs of one pair, as submissions would leave them."""

    def __init__(self, rng: random.Random) -> None:
        from leaderboard.accounts.models import Organisation, User  # noqa: PLC0415
        from leaderboard.benchmarks.models import ItemSet, SetPair  # noqa: PLC0415

        self.rng = rng
        self.number = 0
        public = ItemSet.objects.create(
            name="public",
            sealed=False,
            n=1319,
            digest="a" * 64,
        )
        private = ItemSet.objects.create(
            name="private",
            sealed=True,
            n=1205,
            digest="b" * 64,
        )
        self.pair = SetPair.objects.create(
            slug="pair",
            title="Pair",
            public=public,
            private=private,
            protocol="gsm8k-cot-5shot",
            grader="numeric-1",
        )
        self.user = User.objects.create(username="submitter")
        names = [f"Organisation {rank}" for rank in range(ORGANISATIONS)]
        self.organisations = Organisation.objects.bulk_create(
            Organisation(name=name) for name in names
        )
        zipf = (1 / rank for rank in range(1, ORGANISATIONS + 1))
        self.weights = list(accumulate(zipf))

    def evaluators(self) -> None:
        """Register the evaluators, which announced lately that they serve."""
        from evaluator.contract.announcements import JOB_VERSION  # noqa: PLC0415
        from leaderboard.ledger.models import Evaluator  # noqa: PLC0415

        sets = [
            {"name": one.name, "sealed": one.sealed, "digest": one.digest}
            for one in self.pair.sets()
        ]
        now = datetime.now(UTC)
        for number in range(EVALUATORS):
            Evaluator.objects.create(
                name=f"evaluator-{number}",
                public_key=f"{number:064x}",
                host_pub=f"{number:064x}",
                pool="default",
                announced_pool="default",
                last_seen=now,
                expected_by=now + timedelta(days=1),
                sets=sets,
                reads=[JOB_VERSION],
            )

    def fill_to(self, length: int) -> None:
        """Add queued runs until there are ``length``."""
        from evaluator.contract.announcements import JOB_VERSION  # noqa: PLC0415
        from leaderboard.submissions.models import (  # noqa: PLC0415
            Model,
            Outbox,
            Run,
            Submission,
        )

        sets = [
            {"name": one.name, "sealed": one.sealed, "digest": one.digest}
            for one in self.pair.sets()
        ]
        payload = {
            "version": JOB_VERSION,
            "protocol": self.pair.protocol,
            "sets": sets,
            "system": {"kind": "checkpoint"},
        }
        while self.number < length:
            count = min(BATCH, length - self.number)
            owners = self.rng.choices(
                self.organisations,
                cum_weights=self.weights,
                k=count,
            )
            now = datetime.now(UTC)
            models = Model.objects.bulk_create(
                Model(name=f"model-{self.number + place}", organisation=owner)
                for place, owner in enumerate(owners)
            )
            submissions = Submission.objects.bulk_create(
                Submission(
                    model=model,
                    submitted_by=self.user,
                    pair=self.pair,
                    kind="checkpoint",
                    idempotency_key=model.name,
                    fingerprint="0" * 64,
                    checkpoint="weights",
                )
                for model in models
            )
            runs = Run.objects.bulk_create(
                Run(
                    submission=submission,
                    organisation=submission.model.organisation,
                    pool="default",
                    state="queued",
                    queued_at=now,
                    deadline=now + timedelta(days=30),
                    total=2524,
                )
                for submission in submissions
            )
            messages = []
            for run in runs:
                messages.append(Outbox(run=run, token=1, payload=payload, due=now))
            Outbox.objects.bulk_create(messages)
            self.number += count


def decide() -> tuple[float, int, int]:
    """Return the seconds and queries of one decision, and how many runs it sent."""
    from django.db import connection  # noqa: PLC0415
    from django.db.models.functions import Now  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from leaderboard.submissions import actions, dispatch  # noqa: PLC0415
    from leaderboard.submissions.models import Outbox  # noqa: PLC0415

    with (
        mock.patch.object(dispatch, "depth", return_value=0),
        mock.patch.object(dispatch, "send_job"),
        CaptureQueriesContext(connection) as captured,
    ):
        begin = time.perf_counter()
        sent = actions.drain_outbox()
        seconds = time.perf_counter() - begin
    was_sent = Outbox.objects.filter(sent_at__isnull=False)
    was_sent.update(sent_at=None, due=Now())
    return seconds, len(captured), sent


def measure(lengths: Sequence[int], seed: int) -> int:
    """Print a row for each length; return 1 where the queries grow."""
    from django.db import connection  # noqa: PLC0415

    filler = Filler(random.Random(seed))  # noqa: S311
    filler.evaluators()
    print(f"{'queued':>8}{'best ms':>10}{'median ms':>12}{'queries':>9}{'sent':>6}{'ratio':>8}")
    first: tuple[float, int] | None = None
    grows = False
    for length in lengths:
        filler.fill_to(length)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        decide()
        found = [decide() for _ in range(DECISIONS)]
        times = [seconds for seconds, _, _ in found]
        best = min(times)
        median = statistics.median(times)
        _, queries, sent = found[-1]
        first = first or (best, queries)
        grows = grows or queries > first[1]
        print(
            f"{length:>8,}{1000 * best:>10.1f}{1000 * median:>12.1f}{queries:>9}{sent:>6}"
            f"{best / first[0]:>8.2f}",
            flush=True,
        )
    return 1 if grows else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.queue", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with site():
        return measure(options.lengths, options.seed)


if __name__ == "__main__":
    sys.exit(main())
