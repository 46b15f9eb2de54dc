import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.disk import disk_errors, write_durably

SmallFiles = Callable[[], AbstractContextManager[int]]


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_durably(tmp_path / "a.json", b"{}")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"{}")]


def test_nothing_stays_behind_when_the_disk_is_full(
    tmp_path: Path, small_files: SmallFiles
) -> None:
    (tmp_path / "a.json").write_bytes(b"old")
    with pytest.raises(EvaluatorError) as refused, small_files() as limit:
        write_durably(tmp_path / "a.json", b"x" * (limit + 1))
    assert refused.value.code is Code.DISK_FULL
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"old")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOENT])
def test_other_errors_mean_that_the_folder_cannot_be_written(number: int) -> None:
    with pytest.raises(EvaluatorError) as refused, disk_errors(Path("somewhere")):
        raise OSError(number, "no")
    assert refused.value.code is Code.OUT_UNWRITABLE
