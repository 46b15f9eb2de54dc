from pathlib import Path

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.plan import find_checkpoint


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints" / "good").mkdir(parents=True)
    (tmp_path / "checkpoints" / "good" / "inner").mkdir()
    (tmp_path / "checkpoints" / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "checkpoints" / "escape").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "checkpoints" / "alias").symlink_to("good")
    (tmp_path / "checkpoints" / "loop").symlink_to("loop")
    return tmp_path / "checkpoints"


def test_a_checkpoint_is_found_by_name(root: Path) -> None:
    assert find_checkpoint(root, "good") == root / "good"
    assert find_checkpoint(root, "alias") == root / "good"


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert find_checkpoint(tmp_path / "link", "good") == root / "good"


@pytest.mark.parametrize(
    "name",
    [
        "escape",
        "file",
        "none",
        "",
        ".",
        "..",
        "../elsewhere",
        "good/inner",
        "good/../../elsewhere",
        "/etc",
    ],
)
def test_every_other_name_is_unknown(root: Path, name: str) -> None:
    with pytest.raises(EvaluatorError) as refused:
        find_checkpoint(root, name)
    assert refused.value.code is Code.CHECKPOINT_UNKNOWN


def test_a_circle_of_links_is_unknown(root: Path) -> None:
    with pytest.raises(EvaluatorError) as refused:
        find_checkpoint(root, "loop")
    assert refused.value.code is Code.CHECKPOINT_UNKNOWN
