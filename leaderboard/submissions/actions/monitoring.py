"""Status of the site: pools, check results, the housekeeping's heartbeat, refused reports."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.broker import quarantined
from evaluator.errors import EvaluatorError
from leaderboard.benchmarks.models import SetPair
from leaderboard.celery import app
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.actions import checks, host_checks
from leaderboard.submissions.actions.checks import CheckResult
from leaderboard.submissions.actions.closes import next_closes
from leaderboard.submissions.actions.pools import Pool, all_pools
from leaderboard.submissions.models import BEAT, RECORDED, Heartbeat, RefusedReport


@dataclass(frozen=True)
class Status:
    """Status of the site: the last housekeeping, the pools, the next closes, the check results."""

    beat: datetime | None
    pools: tuple[Pool, ...]
    closes: tuple[tuple[SetPair, datetime], ...]
    check_results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """True where nothing keeps runs from ending."""
        return not any(result.problem for result in self.check_results)


def status() -> Status:
    """Return the status, as far as the database knows it."""
    heartbeats = Heartbeat.objects.in_bulk([BEAT, RECORDED])
    beat = heartbeats.get(BEAT)
    pools = all_pools()
    check_results = (
        *checks.check_beat(beat),
        *checks.check_recorder(heartbeats.get(RECORDED), beat),
        *checks.check_pools(pools),
        *checks.check_evaluators(),
        *checks.check_sets(),
        *checks.check_models(),
        *checks.check_messages(beat),
        *checks.check_closes(),
        *checks.check_notifications(),
        *checks.check_watches(),
    )
    moments = next_closes()
    closes = []
    for pair in SetPair.objects.filter(pk__in=moments):
        closes.append((pair, moments[pair.pk]))
    closes.sort(key=lambda close: (close[1], close[0].slug))
    beat_at = beat.at if beat else None
    return Status(beat_at, pools, tuple(closes), check_results)


def examine() -> tuple[CheckResult, ...]:
    """Return the check results, with those about the broker, the migrations and this host."""
    return (
        *checks.check_migrations(),
        *checks.check_broker(),
        *host_checks.check_clock(),
        *host_checks.check_disk(),
        *host_checks.check_cache(),
        *host_checks.check_mail(),
        *host_checks.check_backup(),
        *status().check_results,
    )


def public_facts(status_now: Status) -> dict[str, Any]:
    """Return what any visitor may know: pools and closes, and no name of a host."""
    names = (
        "name",
        "sentence",
        "registered",
        "in_service",
        "cordoned",
        "silent",
        "engine_failing",
        "waiting",
        "running",
        "endpoint_places",
        "endpoints_running",
        "oldest",
    )
    pools = []
    for pool in status_now.pools:
        pools.append({name: getattr(pool, name) for name in names})
    closes = [{"pair": pair.slug, "at": at} for pair, at in status_now.closes]
    return {
        "ok": status_now.ok,
        "beat": status_now.beat,
        "pools": pools,
        "closes": closes,
    }


def watch() -> int:
    """Stamp the housekeeping's heartbeat, with the number of quarantined messages.

    Returns that number.
    """
    try:
        counts = quarantined(app)
    except (BrokerAway, OSError):
        counts = {}
    Heartbeat.stamp(BEAT, quarantined=counts)
    return sum(counts.values())


def refuse_report(envelope: object, failure: EvaluatorError) -> None:
    """Count a report that was refused, by day, code and the registered evaluator that it names.

    A name that is not registered counts as none.
    """
    try:
        raw = json.dumps(envelope, sort_keys=True).encode(errors="replace")
    except (TypeError, ValueError, RecursionError):
        raw = b""
    claimed = ""
    match envelope:
        case {"report": {"evaluator": str(name)}} if "\0" not in name:
            if Evaluator.objects.public_key_of(name) is not None:
                claimed = name
    key = {
        "day": timezone.now().date(),
        "code": failure.code.value,
        "claimed": claimed,
    }
    last = {
        "size": len(raw),
        "digest": hashlib.sha256(raw).hexdigest(),
        "last": Now(),
    }
    with transaction.atomic():
        row, _ = RefusedReport.objects.get_or_create(**key, defaults=last)
        counted = RefusedReport.objects.filter(pk=row.pk)
        counted.update(count=F("count") + 1, **last)
