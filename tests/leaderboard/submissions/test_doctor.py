"""Misconfigurations of the site's host that ``manage.py doctor`` finds, each planted alone."""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from kombu import Connection

from demo.programs import free_port
from leaderboard.celery import app
from leaderboard.submissions import actions
from leaderboard.submissions.actions import host_checks
from leaderboard.submissions.models import Heartbeat
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ledger.test_announcements import announce
from tests.leaderboard.submissions.test_status import held

Findings = dict[str, bool]


@pytest.fixture
def healthy(
    run: Any, evaluator: FakeEvaluator, settings: Any, tmp_path: Path
) -> Callable[[], Findings]:
    """A site without a fault; returns what finds faults: whether each is a problem, by code."""
    settings.UPLOADS = tmp_path / "uploads"
    settings.RELEASES = tmp_path / "releases"
    settings.BACKUP_STAMP = ""
    actions.watch()
    announce(evaluator, sets=held(run))

    def findings() -> Findings:
        return {result.code: result.problem for result in actions.examine()}

    assert findings() == {}
    return findings


def test_a_dead_housekeeping(healthy: Callable[[], Findings]) -> None:
    Heartbeat.objects.update(at=timezone.now() - timedelta(hours=1))
    assert healthy() == {"beat_dead": True}


def test_a_broker_that_is_away(
    healthy: Callable[[], Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setattr(app, "connection_for_write", lambda: Connection(away))
    assert healthy() == {"broker_away": True}


def test_a_clock_that_is_wrong(
    healthy: Callable[[], Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = timezone.now() + timedelta(seconds=90)
    monkeypatch.setattr(host_checks.timezone, "now", lambda: late)
    results = list(host_checks.check_clock())
    assert [result.code for result in results] == ["clock"]
    assert "by +" in results[0].sentence


def test_a_disk_that_is_full(
    healthy: Callable[[], Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_checks, "FREE_BYTES", 1 << 80)
    assert healthy() == {"disk": True}


@pytest.mark.parametrize("name", ["UPLOADS", "RELEASES"])
def test_a_folder_that_cannot_be_written(
    healthy: Callable[[], Findings], settings: Any, name: str
) -> None:
    # A folder of the kernel's, where not even root can write.
    setattr(settings, name, Path("/proc/sys"))
    assert healthy() == {"disk": True} or os.access("/proc/sys", os.W_OK)


def test_a_cache_that_is_away(healthy: Callable[[], Findings], settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
        }
    }
    assert healthy() == {"cache_away": True}


def test_a_mail_server_that_is_away(healthy: Callable[[], Findings], settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = free_port()
    assert healthy() == {"mail_away": True}


def test_a_backup_that_never_ran_or_is_old(
    healthy: Callable[[], Findings], settings: Any, tmp_path: Path
) -> None:
    stamp = tmp_path / "stamp"
    settings.BACKUP_STAMP = str(stamp)
    assert healthy() == {"backup_old": False}
    stamp.touch()
    assert healthy() == {}
    old = time.time() - 3 * 86_400
    os.utime(stamp, (old, old))
    assert healthy() == {"backup_old": False}


def test_findings_as_json(
    healthy: Callable[[], Findings], settings: Any, tmp_path: Path, capsys: Any
) -> None:
    settings.BACKUP_STAMP = str(tmp_path / "stamp")
    call_command("doctor", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] and [one["code"] for one in printed["findings"]] == ["backup_old"]
    Heartbeat.objects.all().delete()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json")
    assert ended.value.code == 1
    assert not json.loads(capsys.readouterr().out)["ok"]
