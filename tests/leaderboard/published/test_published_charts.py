"""Pictures of a published table: in the frame, with its colours, and nothing computed."""

import re
import xml.etree.ElementTree as ET

import pytest

from leaderboard.charts import forest, marks
from leaderboard.charts.marks import WIDTH
from leaderboard.charts.points import LEVEL_CLASSES
from leaderboard.evidence.vocabulary import DECIDED, Evidence
from leaderboard.published.models import PublishedSnapshot
from leaderboard.published.points import mean_of, point_of
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


def test_a_family_s_members_and_mean_stand_on_one_axis(analysis: Analysis) -> None:
    axis = marks.around_zero((line.gap, line.gap) for line in analysis.lines)
    for family in analysis.families:
        members = [line for line in analysis.lines if line.family == family.family]
        svg = forest.family_forest(mean_of(family), [line.gap for line in members], axis)
        drawing = ET.fromstring(svg)
        ticks = drawing.find("path[@class='member']")
        assert (
            ticks is not None
            and len(re.findall("M([0-9.]+) 7v14", ticks.attrib["d"])) == family.members
        )
        assert all(0 <= float(x) <= WIDTH for x in re.findall("M([0-9.]+) 7v14", ticks.attrib["d"]))
        assert ('class="wh"' in svg) == (family.raw.interval is not None)
        assert all(0 <= x <= WIDTH for x in numbers(svg, "x1"))


def test_each_level_has_a_class_of_its_own(analysis: Analysis) -> None:
    assert len({LEVEL_CLASSES[level] for level in DECIDED}) == len(DECIDED) == 4
    points = [point_of(line, "raw") for line in analysis.lines]
    hot = next(point for point in points if point.level == Evidence.OVERFIT)
    assert 'class="db hot"' in marks.dumbbell(hot, marks.score_axis(points, whole=False))
    assert 'class="gb hot"' in marks.gap_interval(hot, marks.gap_axis([hot]))
