"""Mail and webhooks about every run, as surfaces of the leak search."""

import json
import subprocess
import sys
from pathlib import Path

from demo.programs import ROOT
from tests.leaks.drive import Used


def notify_everybody(used: Used) -> Path:
    """Everybody hears of every step so far, by mail and by a webhook. Returns what the webhook was sent."""
    calls = used.house.place.folder / "site" / "webhook-calls"
    command = [sys.executable, str(ROOT / "tests" / "leaderboard" / "receiver.py"), str(calls)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = receiver.stdout.readline().strip()
        used.change(
            "INSERT INTO submissions_webhook (organisation_id, url, salt, created_by_id, created) "
            "SELECT id, %s, 'salt', (SELECT min(id) FROM accounts_user), now() FROM accounts_organisation",
            f"http://127.0.0.1:{port}/ok",
        )
        used.change(
            'INSERT INTO account_emailaddress (user_id, email, verified, "primary") '
            "SELECT id, username || '@lab.example', true, true FROM accounts_user "
            "WHERE id NOT IN (SELECT user_id FROM account_emailaddress)"
        )
        used.change(
            "INSERT INTO submissions_mailchoice (user_id, ends, results) SELECT id, true, true FROM accounts_user"
        )
        mails = len(list(used.house.place.mails.iterdir()))
        for _ in range(10):
            used.house.place.manage("deliver_notifications")
            used.change("UPDATE submissions_delivery SET due = now() WHERE due IS NOT NULL")
            if not used.house.query("SELECT 1 FROM submissions_delivery WHERE due IS NOT NULL"):
                break
        receiver.kill()
    states = {
        json.loads(json.loads(line)["body"])["type"] for line in calls.read_text().splitlines()
    }
    assert states >= {"run.graded", "run.ranked", "run.failed"}, states
    assert len(list(used.house.place.mails.iterdir())) > mails, "no mail was sent"
    return calls
