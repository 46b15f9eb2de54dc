"""A published table is kept once, whole, with its source, and never changed."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from leaderboard.errors import SiteError
from leaderboard.published.models import PublishedRow, PublishedTable
from tests.leaderboard.published.fixtures import SOURCE, file_of, imported, line, small

pytestmark = pytest.mark.django_db


def run(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    call_command("import_published", str(path), *(options or ("--source", SOURCE)))
    return capsys.readouterr().out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Small table.csv"
    path.write_bytes(small())
    return path


def test_the_command_keeps_rows_with_their_source(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(path, capsys) == "small-table: 15 models, public open, private shut, 14 likelihoods\n"
    )
    table = PublishedTable.objects.get()
    assert (table.source, table.title, table.url) == (SOURCE, "open and shut", "")
    assert [row.line for row in table.rows.all()] == list(range(2, 17))


def test_the_same_file_again_changes_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(path, capsys)
    assert "small-table: known already" in run(
        path, capsys, "--source", "Somebody else", "--slug", "other"
    )
    assert (PublishedTable.objects.count(), PublishedRow.objects.count()) == (1, 15)


def test_another_file_does_not_take_a_name_that_is_in_use(path: Path) -> None:
    imported(slug="small-table")
    path.write_bytes(small() + line("more").encode())
    with pytest.raises(CommandError, match="already_registered"):
        call_command("import_published", str(path), "--source", SOURCE)
    assert PublishedRow.objects.count() == 15


def test_a_bad_file_leaves_nothing_and_says_where(path: Path) -> None:
    path.write_bytes(file_of(line("a"), line("b").replace("open,7", "ajar,7"), line("a")))
    with pytest.raises(
        CommandError, match="line 3, access: unknown_access; line 4, model: model_twice"
    ):
        call_command("import_published", str(path), "--source", SOURCE)
    assert not PublishedTable.objects.exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--source", ""), "source"),
        (("--source", SOURCE, "--url", "javascript:alert(1)"), "url"),
        (("--source", SOURCE, "--slug", "no such/slug"), "slug"),
        (("--source", SOURCE, "--title", "x" * 121), "title"),
    ],
)
def test_what_is_said_of_the_file_has_to_fit(
    path: Path, options: tuple[str, ...], field: str
) -> None:
    with pytest.raises(CommandError, match=f"invalid_field.*: {field}\\."):
        call_command("import_published", str(path), *options)
    assert not PublishedTable.objects.exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_published", str(tmp_path / "none.csv"), "--source", SOURCE)


def test_columns_that_mean_nothing_here_are_named(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(b"colour," + small().replace(b"\n", b"\nred,", 15))
    assert "columns that were not read: colour" in run(path, capsys)


def test_what_was_published_is_never_changed() -> None:
    table = imported()
    table.title = "Something else"
    with pytest.raises(TypeError, match="never changed"):
        table.save()
    with pytest.raises(TypeError, match="never changed"):
        PublishedRow.objects.all()[0].save()


def test_the_database_keeps_impossible_counts_out() -> None:
    table = imported()
    row = PublishedRow(
        table=table, line=99, model="x", family="F", access="open",
        public_right=11, public_n=10, private_right=1, private_n=10,
    )  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


def test_a_write_that_fails_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: object, rows: object) -> None:
        list(rows)  # type: ignore[call-overload]
        raise RuntimeError

    monkeypatch.setattr("django.db.models.query.QuerySet.bulk_create", failing)
    with pytest.raises(RuntimeError), transaction.atomic():
        imported()
    assert not PublishedTable.objects.exists()


def test_another_slug_is_no_reason_to_keep_a_file_twice() -> None:
    assert imported(slug="one") == imported(slug="two")
    with pytest.raises(SiteError, match="already_registered"):
        imported(file_of(line("a")), slug="one")
