import json
from pathlib import Path

import pytest

from evaluator import protocols
from evaluator.cli import main
from evaluator.errors import EXPLANATIONS, Code, error
from tests.evaluator.installed import rows, write_rows


def test_an_error_is_exit_code_2_a_sentence_and_one_object(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_rows(tmp_path / "set.jsonl", rows(3, "boat"))
    arguments = [
        "run",
        "--model",
        "nowhere",
        "--set",
        str(tmp_path / "set.jsonl"),
        "--protocol",
        "no-such",
    ]
    assert main([*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    known = EXPLANATIONS[Code.UNKNOWN_PROTOCOL]
    assert json.loads(out) == {
        "error": "unknown_protocol",
        "sentence": known.sentence,
        "advice": known.advice,
    }
    assert err == f"error: {error(Code.UNKNOWN_PROTOCOL)}\n"
    assert main(arguments) == 2
    assert capsys.readouterr().out == ""


def test_a_detail_is_shown_where_there_is_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "none.jsonl"
    assert (
        main(["run", "--model", "m", "--set", str(missing), "--protocol", "demo-0shot", "--json"])
        == 2
    )
    assert json.loads(capsys.readouterr().out)["detail"] == str(missing)


def test_protocols_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocols", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"demo-0shot", "gsm8k-cot-5shot"} <= set(found)
    assert main(["protocols"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()) for line in lines] == list(found.items())


def test_protocols_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocols", "--words", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {name: protocols.in_words(protocols.get(name)) for name in protocols.ids()}


@pytest.mark.parametrize(
    "command", ["run", "grade", "keygen", "seal", "inspect", "protocols", "graders", "rescore"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["run"], ["run", "--concurrency", "0"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--concurrency", "0"),
        ("--concurrency", "513"),
        ("--concurrency", "x"),
        ("--timeout", "0"),
        ("--timeout", "nan"),
    ],
)
def test_numbers_have_bounds(option: str, value: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--model", "m", "--set", "s", "--protocol", "p", option, value])
    assert ended.value.code == 2


def test_ctrl_c_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluator.cli.run.load_items", interrupted)
    assert main(["run", "--model", "m", "--set", "s", "--protocol", "demo-0shot"]) == 130
    assert "is stored" in capsys.readouterr().err
