"""Pictures of a published table: in the frame, with its colours, and nothing computed."""

import re
import xml.etree.ElementTree as ET

import pytest

from leaderboard.charts import forest, marks, planes
from leaderboard.charts.dots import TONES
from leaderboard.charts.marks import WIDTH
from leaderboard.evidence.vocabulary import DECIDED, Evidence
from leaderboard.published import charts
from leaderboard.published.models import PublishedSnapshot
from leaderboard.published.points import of_line
from leaderboard.published.results import Analysis
from tests.leaderboard.published.fixtures import imported

pytestmark = pytest.mark.django_db


@pytest.fixture
def analysis() -> Analysis:
    snapshot = PublishedSnapshot.objects.current(imported())
    assert snapshot is not None
    return snapshot.analysis()


def numbers(svg: str, name: str) -> list[float]:
    return [float(found) for found in re.findall(rf' {name}="(-?[\d.]+)"', svg)]


def test_a_dot_for_each_model_reds_last_and_a_curve(analysis: Analysis) -> None:
    svg = charts.scatter(analysis.lines, "raw", analysis.panel)
    ET.fromstring(svg)
    assert svg.count("<circle") == 15
    assert re.findall(r'<circle class="(\w+)"', svg)[-2:] == ["hot", "hot"]
    assert 'class="curve"' in svg
    assert 'class="curve"' not in charts.scatter(analysis.lines, "raw", None)
    assert all(0 <= x <= 344 for x in numbers(svg, "cx"))


def test_models_at_the_floor_are_small_beside_the_likelihood(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planes, "STRONG", 0.5)
    svg = charts.likelihood(analysis.lines, "raw")
    ET.fromstring(svg)
    weak = sum(one.public.accuracy < 0.5 for one in analysis.lines if one.loglik is not None)
    assert (svg.count("<circle"), svg.count('r="3.0"')) == (14, weak)
    assert weak > 0
    assert 'class="diag"' in svg


def test_a_family_s_members_and_mean_stand_on_one_axis(analysis: Analysis) -> None:
    axis = planes.around_zero((line.gap, line.gap) for line in analysis.lines)
    for family in analysis.families:
        members = [line for line in analysis.lines if line.family == family.family]
        svg = forest.family_forest(family, members, axis)
        ET.fromstring(svg)
        assert svg.count('class="member"') == family.members
        assert ('class="wh"' in svg) == (family.raw.interval is not None)
        assert all(0 <= x <= WIDTH for x in numbers(svg, "x1"))


def test_each_word_has_a_tone_of_its_own(analysis: Analysis) -> None:
    assert len({TONES[word] for word in DECIDED}) == len(DECIDED) == 4
    dots = [of_line(line, "raw") for line in analysis.lines]
    hot = next(dot for dot in dots if dot.word == Evidence.OVERFIT.label)
    assert 'class="db hot"' in marks.dumbbell(hot, marks.score_axis(dots, whole=False))
    assert 'class="gb hot"' in marks.gap_interval(hot, marks.gap_axis([hot]))
