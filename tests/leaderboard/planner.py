"""What the planner of PostgreSQL knows of rows that a test has written."""

from django.db import connection


def count_rows() -> None:
    """Have PostgreSQL count the rows of all tables, also those of the open transaction.

    Autovacuum does not see them. With the counts of empty tables, a join of a few thousand rows is
    planned as nested loops and can take minutes.
    """
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
