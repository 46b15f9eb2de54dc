"""A folder from its author's disk to the board, by the four real programs and the command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT
from evaluator.contract.uploads import CHUNK
from tests.acceptance.conftest import PAIR, House

pytestmark = pytest.mark.timeout(400)


def submit(house: House, folder: Path, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "evaluator", "submit", "--json", "--name", name]
    done = subprocess.run(
        [*command, "--folder", str(folder), "--pair", PAIR, "--site", house.place.address],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOLDFAST_TOKEN": house.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.long
def test_a_folder_is_uploaded_and_stands_on_the_board_and_its_copy_gets_no_run(
    make_house: Callable[..., House], tmp_path: Path
) -> None:
    house = make_house(rows=(public_set()[:20], private_set()[:20]))
    prepare.trust_shipped_checkpoints(house.place, ["small"])
    house.begin("site", "recorder", "evaluator")
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "demo" / "checkpoints" / "small", folder)
    made = submit(house, folder, "from-a-folder")
    state = house.ranked(made["run"], seconds=240)
    assert state["artefact"]
    stored = house.place.home_of("evaluator") / "store" / "models"
    (model,) = stored.iterdir()
    assert {path.name for path in model.iterdir()} == {
        path.name for path in folder.iterdir() if path.name != "README.md"
    }
    # The same weights with other files, one of several chunks.
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b"\n" * CHUNK)
    copy = submit(house, folder, "under-another-name")
    ended = house.wait(copy["run"], lambda state: state["final"], seconds=120)
    assert (ended["state"], ended["failure"]["code"]) == ("cancelled", "same_weights"), ended
    assert len(list(stored.iterdir())) == 2, "it was fetched in chunks, hashed and recognised"
