"""Chat templates are strangers' programs: what they may do, and what is refused (faults K016 to K019)."""

import asyncio
import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest
from jinja2.exceptions import SecurityError

from evaluator.hosts.rendering import Renderer
from evaluator.hosts.templates import BadTemplate, read_template, render
from tests.services import find_data

USER = [{"role": "user", "content": "Tom has 3 pears.\n  How many? "}]
PLAIN = "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}<assistant>"
SPECIALS = {"bos_token": "<s>"}


def folder_with(folder: Path, template: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": template, "bos_token": "<s>"})
    )
    return folder


def prompt_of(folder: Path, *, seconds: float = 20.0, messages: list[dict[str, str]] = USER) -> str:
    async def run() -> str:
        async with Renderer(folder, seconds=seconds) as renderer:
            return await renderer.prompt(messages)

    return asyncio.run(run())


def test_a_plain_template() -> None:
    assert render(PLAIN, SPECIALS, USER) == f"<s><user>{USER[0]['content']}</s><assistant>"


def test_a_template_may_trim_the_question() -> None:
    template = PLAIN.replace("m['content']", "m['content'] | trim")
    assert (
        render(template, SPECIALS, USER) == f"<s><user>{USER[0]['content'].strip()}</s><assistant>"
    )


def test_it_is_what_transformers_itself_renders(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """With what real templates use: namespaces, loop controls, generation marks, a refusal, no date."""
    from transformers import AutoTokenizer

    template = (
        "{%- set ns = namespace(n=0) %}{% if messages[0].role == 'tool' %}{{ raise_exception('no') }}{% endif %}\n"
        "{%- for m in messages %}\n    {%- if m.role == 'other' %}{% continue %}{% endif %}\n"
        "{% generation %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endgeneration %}\n"
        "{%- set ns.n = ns.n + 1 %}{% endfor %}\n{{ {'a': '<b>'} | tojson }}{{ ns.n }}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "chat_template.jinja").write_text(template)
    setup = read_template(folder)
    messages = [{"role": "system", "content": "Be brief."}, *USER]
    expected = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert render(setup["template"], setup["specials"], messages) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}" + PLAIN,
        "{{ lipsum.__globals__ }}" + PLAIN,
        "{{ cycler.__init__.__globals__ }}" + PLAIN,
        "{{ (messages | attr('__class__')).mro() }}" + PLAIN,
        "{{ messages.append(1) }}" + PLAIN,
        "{% include 'config.json' %}" + PLAIN,
        "{% import 'os' as os %}" + PLAIN,
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}" + PLAIN,
        "{% for a in range(9999999) %}x{% endfor %}" + PLAIN,
        "{% if %}",
        "{{ raise_exception('no system prompt') }}",
    ],
)
def test_what_the_sandbox_refuses(template: str) -> None:
    with pytest.raises(Exception) as caught:  # of many classes: the child answers with its name
        render(template, SPECIALS, USER)
    assert "Tom" not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "<user>",
        PLAIN + PLAIN,
        PLAIN.replace("m['content']", "m['content'] | upper"),
        PLAIN.replace("m['content']", "m['content'][:20]"),
        PLAIN.replace("m['content']", "m['content'] | replace('pears', 'apples')"),
        PLAIN + "{% if 'pears' in messages[0].content %}Think of #### first.{% endif %}",
        PLAIN + "{% if messages[0].content | length > 28 %} {% endif %}",
        PLAIN + "{{ [1, 2, 3, 4, 5, 6, 7, 8, 9] | random }}",
        PLAIN + "{{ lipsum() }}",
    ],
)  # fmt: skip
def test_a_template_that_changes_what_is_asked(template: str) -> None:
    with pytest.raises((BadTemplate, Exception)):
        render(template, SPECIALS, USER)


@pytest.mark.parametrize(
    "attempt", ["{0.__class__}", "{0.__class__.__mro__}", "{0.append.__self__}"]
)
def test_what_a_format_string_reaches_is_nothing(attempt: str) -> None:
    template = "{{ '" + attempt + "'.format(messages) }}" + PLAIN
    with contextlib.suppress(SecurityError):
        assert render(template, SPECIALS, USER) == render(PLAIN, SPECIALS, USER)


def test_a_template_gets_the_same_date_every_day() -> None:
    template = "{{ strftime_now('%d %b %Y') }}" + PLAIN
    assert render(template, SPECIALS, USER).startswith("26 Jul 2024<s>")


def test_the_child_renders_and_survives_a_refusal(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path / "m",
        PLAIN + "{% if messages | length > 1 %}{{ raise_exception('one') }}{% endif %}",
    )

    async def run() -> str:
        async with Renderer(folder) as renderer:
            with pytest.raises(BadTemplate):
                await renderer.prompt([*USER, *USER])
            return await renderer.prompt(USER)

    assert asyncio.run(run()).startswith("<s><user>")


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**9 * 20 }}",
        "{% for a in range(99999) %}{{ 'x' * 10**6 }}{% endfor %}",
    ],
)
def test_bombs_end_with_the_child(tmp_path: Path, bomb: str) -> None:
    """Time, memory, output; and the renderer starts another child for the next question."""
    folder = folder_with(
        tmp_path / "m", "{% if messages | length > 1 %}" + bomb + "{% endif %}" + PLAIN
    )

    async def run() -> str:
        async with Renderer(folder, seconds=2.5) as renderer:
            with pytest.raises(BadTemplate):
                await renderer.prompt([*USER, *USER])
            return await renderer.prompt(USER)

    assert asyncio.run(run()).startswith("<s><user>")


def test_where_a_template_is_found(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", "in the config")
    assert read_template(folder) == {"template": "in the config", "specials": {"bos_token": "<s>"}}
    several = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": several, "eos_token": {"content": "e"}})
    )
    assert read_template(folder) == {"template": "yes", "specials": {"eos_token": "e"}}
    (folder / "chat_template.jinja").write_text("next to it")
    assert read_template(folder)["template"] == "next to it"


@pytest.mark.parametrize(
    "config", ["", "[]", "{}", '{"chat_template": 3}', '{"chat_template": []}', "[" * 9999]
)
def test_no_template(tmp_path: Path, config: str) -> None:
    (tmp_path / "tokenizer_config.json").write_text(config)
    with pytest.raises(BadTemplate):
        prompt_of(tmp_path)


MAPPED = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
)


def as_transformers(folder: Path) -> str:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return str(tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True))


def with_config(folder: Path, **settings: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize(
    "token",
    ["<bos>", {"content": "<bos>", "lstrip": False, "special": True}],
    ids=["text", "object"],
)
def test_special_tokens_that_only_their_map_names(
    tiny_checkpoint: Path, tmp_path: Path, token: object, newer: bool
) -> None:
    """Transformers reads the map unless the tokenizer's configuration lists its added tokens itself."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "chat_template.jinja").write_text(MAPPED)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("added_tokens_decoder", None)
    listed = {
        "0": {"content": "<pad>", "special": True},
        "1": {"content": "<eos>", "special": True},
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config | ({"added_tokens_decoder": listed} if newer else {}))
    )
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": token}))
    prompt = prompt_of(folder)
    assert prompt == as_transformers(folder)
    assert prompt.startswith("<bos>[user]") is not newer


def test_an_engine_hands_on_the_tokens_of_the_loaded_tokenizer(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Some stand in no file but in the tokenizer's class."""
    from evaluator.hosts.preflight import special_tokens

    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "chat_template.jinja").write_text(MAPPED)
    with_config(folder, tokenizer_class="GPT2Tokenizer")

    async def run() -> str:
        async with Renderer(folder, special_tokens(folder)) as renderer:
            return await renderer.prompt(USER)

    assert asyncio.run(run()) == as_transformers(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{% if tools is not none %}TOOLS{{ tools | length }}{% endif %}",
        "{% if tools is none and documents is none %}NONE{% endif %}",
        "{% if documents is not none and documents | length %}DOCUMENTS{% endif %}",
        "{% if tools is defined and tools %}T{% else %}F{% endif %}",
        "{% if add_generation_prompt is defined and add_generation_prompt %}GO{% endif %}",
        "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ add_generation_prompt }}",
        "{% if enable_thinking is defined and enable_thinking is false %}OFF{% endif %}",
        "{{ custom_tools is defined }}{{ date_string is defined }}{{ builtin_tools is defined }}{{ messages | length }}",
    ],
)
def test_names_that_templates_ask_for(tiny_checkpoint: Path, tmp_path: Path, template: str) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}|" + template
    )
    assert prompt_of(folder) == as_transformers(folder)


HUB = (find_data() or Path("nowhere")) / "hub_files"


@pytest.mark.data
@pytest.mark.skipif(not HUB.is_dir(), reason="no real hub files here")
@pytest.mark.parametrize("name", sorted(path.name for path in HUB.glob("chat_templates/*")))
@pytest.mark.parametrize("flat", [True, False])
def test_real_templates_are_rendered_as_transformers_does(
    tiny_checkpoint: Path, tmp_path: Path, name: str, flat: bool
) -> None:
    """As they were laid out for reading, and as their collection says that they are to be used."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    template = (HUB / "chat_templates" / name).read_text()
    (folder / "chat_template.jinja").write_text(
        template.replace("    ", "").replace("\n", "") if flat else template
    )
    with_config(folder, bos_token="<pad>")
    assert prompt_of(folder) == as_transformers(folder)


@pytest.mark.data
@pytest.mark.skipif(not HUB.is_dir(), reason="no real hub files here")
@pytest.mark.parametrize("name", sorted(path.name for path in HUB.glob("models/*")))
def test_real_models_are_asked_as_transformers_does(
    tiny_checkpoint: Path, tmp_path: Path, name: str
) -> None:
    """Their own template and special tokens, around a small tokenizer; a template that writes today's date is given a
    fixed one here."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if (HUB / "models" / name / file).is_file():
            shutil.copy(HUB / "models" / name / file, folder / file)
    with_config(folder, tokenizer_class="PreTrainedTokenizerFast")
    dated = re.compile(r"(Today's Date: |Today Date: )[^\n]*?(\.\n|\n)")
    assert dated.sub("", prompt_of(folder)) == dated.sub("", as_transformers(folder))
