"""The release before is rolled back to, and upgraded again, while a run is under way.

The older release's code is not here. Its tables are: the newest migration of each app is undone, and done again.
"""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.faults import audit
from tests.leaderboard.course import Course

APPS = ("board", "ledger", "submissions")
"""Apps whose newest migration no other app's needs: an upgrade brought it alone."""


def newest_and_before(app: str) -> tuple[tuple[str, str], tuple[str, str]]:
    graph = MigrationExecutor(connection).loader.graph
    [newest] = graph.leaf_nodes(app)
    before = max(key for key in graph.node_map if key[0] == app and key < newest)
    return newest, before


def migrate(target: tuple[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    MigrationExecutor(connection).migrate([target])


def columns() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        return list(cursor.fetchall())


@pytest.mark.parametrize("app", APPS, ids=["X04-board", "X04-ledger", "X04-submissions"])
def test_a_migration_is_undone_and_done_again(db: None, bell: Any, app: str) -> None:
    with connection.cursor() as cursor:
        audit.install(cursor.execute)
    course, run, work = Course.under_way(bell)
    with_newest = columns()
    newest, before = newest_and_before(app)
    migrate(before)
    assert columns() != with_newest
    migrate(newest)
    assert columns() == with_newest
    course.answer(work, len(work.left))
    course.deliver_all()
    run.refresh_from_db()
    assert run.state == "graded"
    assert course.broken() == {}
