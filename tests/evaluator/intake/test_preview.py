"""First prompt of a model, rendered by its own template and tokenizer in a jailed child."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo.programs import ROOT
from evaluator import jail
from evaluator.contract.intake import Preview
from evaluator.contract.previews import MOST_RENDERED
from evaluator.errors import Code, EvaluatorError
from evaluator.hosts import prompts
from evaluator.intake import preview as previews
from evaluator.intake.preview import FILES, preview

TEXT = "Question: What is 2 + 3?\nAnswer:"
CHAT = "{{ bos_token }}{% for m in messages %}<u>{{ m.content }}</u>{% endfor %}<a>"
CHECKPOINT = ROOT / "demo" / "checkpoints" / "small"

pytestmark = pytest.mark.skipif(not jail.available(), reason="no jail here")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine says nothing about a model: the child's own bound of computing decides."""
    monkeypatch.setattr(previews, "SECONDS", 120.0)


def test_a_host_without_time_says_nothing_of_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for milliseconds in range(1, 13):  # while the jail is being built
        monkeypatch.setattr(previews, "SECONDS", milliseconds / 1000)
        for _ in range(4):
            assert refused(folder).code is Code.HOST_TIMEOUT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        source = CHECKPOINT / name
        if source.is_file():
            (tmp_path / name).write_bytes(source.read_bytes())
    return tmp_path


def shown(folder: Path, **changes: Any) -> Any:
    order = {"text": TEXT, "chat": False, "special": True, "folder": str(folder)} | changes
    return preview(Preview(**order))


def refused(folder: Path, **changes: Any) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as caught:
        shown(folder, **changes)
    return caught.value


def templated(folder: Path, template: str) -> Path:
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_the_tokens_are_those_of_the_library(folder: Path) -> None:
    """Of a text with the tokenizer's own special tokens, and without."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
    for special in (True, False):
        ids = tokenizer(TEXT, add_special_tokens=special)["input_ids"]
        found = shown(folder, special=special)
        assert (found.prompt, found.tokens) == (TEXT, len(ids))
        before = tokenizer.convert_ids_to_tokens(ids)[: len(found.before)]
        assert list(found.before) == before


def test_special_tokens_around_a_text_are_named(folder: Path) -> None:
    data = json.loads((folder / "tokenizer.json").read_bytes())
    token = data["added_tokens"][0]
    name, number = token["content"], token["id"]
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": name, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with_bos, without = shown(folder), shown(folder, special=False)
    assert (with_bos.before, without.before) == ((name,), ())
    assert with_bos.tokens == without.tokens + 1


def test_a_message_is_rendered_by_the_models_own_template(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    config["bos_token"] = "<s>"
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = shown(templated(folder, CHAT), chat=True, special=False)
    assert found.prompt == f"<s><u>{TEXT}</u><a>"
    assert found.before == ()


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='a' * 1000) %}{% for i in range(60) %}"
        "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{{ 'a' * (10 * 1024 * 1024) }}{{ messages[0].content }}",
        "{{ messages[0].content }}" + "{{ 'a' * 1024 * 1024 }}" * 10,
        "no question",
        "{{ messages[0].content }}{{ messages[0].content }}",
        "{{ ''.__class__.__mro__ }}{{ messages[0].content }}",
        "{% if %}",
        "{{ raise_exception('x') }}",
    ],
    ids=[
        "loop",
        "memory",
        "10 MB at once",
        "10 MB in pieces",
        "drops",
        "repeats",
        "python",
        "syntax",
        "raises",
    ],
)
def test_a_hostile_template_is_refused(folder: Path, template: str) -> None:
    failure = refused(templated(folder, template), chat=True, special=False)
    assert failure.code is Code.CHECKPOINT_BAD_TEMPLATE
    assert template[:8] not in failure.detail


def test_no_template_is_a_template_that_does_not_render(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{}")
    assert refused(folder, chat=True).code is Code.CHECKPOINT_BAD_TEMPLATE


@pytest.mark.parametrize("tokenizer", ["[]", "{", "null"])
def test_a_tokenizer_that_cannot_be_used_is_refused(folder: Path, tokenizer: str) -> None:
    (folder / "tokenizer.json").write_text(tokenizer)
    assert refused(folder).code is Code.CHECKPOINT_TOO_COSTLY


def test_a_tokenizer_that_does_not_end_is_refused(folder: Path) -> None:
    """A pattern that backtracks for ever: the prompt was rendered, and nothing waits for the rest."""
    data = json.loads((folder / "tokenizer.json").read_bytes())
    data["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": "(((a+)+)+)+$"},
        "behavior": "Isolated",
        "invert": False,
    }
    (folder / "tokenizer.json").write_text(json.dumps(data))
    failure = refused(folder, text="a" * 4000 + "b")
    assert failure.code is Code.CHECKPOINT_TOO_COSTLY


def test_the_child_sees_no_file_of_this_machine_and_no_network(folder: Path) -> None:
    """The jail that it is put in is the one of model servers."""
    command = jail.wrap(["cat", str(ROOT / "manage.py")], readable=[folder], writable=[])
    import subprocess

    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_output_is_bounded_whatever_the_child_prints() -> None:
    with pytest.raises(EvaluatorError) as caught:
        previews._facts(b"x" * (previews._MAX_OUTPUT + 1), chat=True)
    assert caught.value.code is Code.CHECKPOINT_BAD_TEMPLATE
    line = json.dumps({"prompt": "x" * (MOST_RENDERED + 1)}).encode() + b"\n"
    with pytest.raises(EvaluatorError):
        previews._facts(line + b'{"tokens": 1}\n', chat=True)
    for answer in (b"[]\n", b'{"prompt": 1}\n', b"\xff\n", b'{"prompt": "a"}\n{"tokens": "x"}\n'):
        with pytest.raises(EvaluatorError):
            previews._facts(answer, chat=False)


def test_without_a_jail_nothing_is_rendered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "available", lambda: False)
    monkeypatch.setattr(prompts, "prompt_of", None)
    assert refused(folder).code is Code.JAIL_MISSING
