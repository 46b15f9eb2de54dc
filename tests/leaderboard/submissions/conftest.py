"""A pair on its way to release, as far as a test wants it to be."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from leaderboard.benchmarks.models import SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.submissions import actions
from tests.leaderboard.bundles import Offline
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.regraded import House
from tests.leaderboard.ruled import BY_DATE, make_heir, make_maintainer, make_pair


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    """A set that may be released: its day has come."""
    return Offline.make(tmp_path_factory.mktemp("sealed"), BY_DATE)


@pytest.fixture
def offline(sealed: Offline, tmp_path: Path) -> Offline:
    """The same with a journal of its own."""
    return Offline(shutil.copytree(sealed.folder, tmp_path / "offline"), sealed.signers)


@pytest.fixture
def releases(settings: Any, tmp_path: Path) -> Path:
    """Where published bundles go; it is not there yet."""
    settings.RELEASES = tmp_path / "releases"
    return tmp_path / "releases"


@pytest.fixture
def releasable(db: None, offline: Offline, releases: Path) -> SetPair:
    """A releasable pair with a successor, and an evaluator that could open its set."""
    offline.register()
    made = make_pair(sealed=offline.manifest)
    make_heir(made)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
    return SetPair.objects.get(pk=made.pk)


@pytest.fixture
def proposed(releasable: SetPair) -> SetPair:
    """The same, proposed by ada."""
    return actions.propose(slug="pair", by=make_maintainer("ada"))


@pytest.fixture
def bundle(proposed: SetPair, offline: Offline, tmp_path: Path) -> Path:
    """The signed bundle of the proposed release."""
    return offline.bundle(proposed.evidence, tmp_path / "bundle")


@pytest.fixture
def house(
    run: Any, evaluator: FakeEvaluator, bell: Any, django_capture_on_commit_callbacks: Any
) -> House:
    """A graded run, and who may have it graded again."""
    attempt = evaluator.begin(run)
    with django_capture_on_commit_callbacks(execute=True):
        for report in attempt.story():
            actions.record_report(envelope=report)
    run.refresh_from_db()
    bell.clear()
    return House(
        run, evaluator, attempt, make_maintainer("keeper"), bell, django_capture_on_commit_callbacks
    )
