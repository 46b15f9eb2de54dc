from pathlib import Path

import pytest

from evaluator.config import Config, trusted_digests
from evaluator.errors import Code, EvaluatorError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name in ("keys", "sets"):
        (tmp_path / name).mkdir()
    return {
        "BROKER_URL": "memory://",
        "HOLDFAST_HOME": str(tmp_path / "home"),
        "HOLDFAST_KEYS": str(tmp_path / "keys"),
        "HOLDFAST_SETS": str(tmp_path / "sets"),
    }


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(EvaluatorError) as refused:
        Config.from_env(environ)
    assert refused.value.code is Code.MISCONFIGURED
    return refused.value.detail


def test_defaults(environ: dict[str, str], tmp_path: Path) -> None:
    config = Config.from_env(environ)
    assert config == Config(
        broker_url="memory://",
        home=tmp_path / "home",
        keys=tmp_path / "keys",
        sets=tmp_path / "sets",
        checkpoints=tmp_path / "home" / "checkpoints",
        store=tmp_path / "home" / "store",
        pool="default",
        recipients={},
        trusted=frozenset(),
    )


def test_everything_set(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[[endpoint]]\nurl = "https://a.example/v1"\n')
    (tmp_path / "trusted").write_text(
        f"# the demo's own\n{'ab' * 32}  honest\n\n{'cd' * 32} # small\n"
    )
    environ |= {
        "HOLDFAST_CHECKPOINTS": str(tmp_path / "c"),
        "HOLDFAST_POOL": "h200",
        "HOLDFAST_RECIPIENTS": str(tmp_path / "r.toml"),
        "HOLDFAST_TRUSTED": str(tmp_path / "trusted"),
    }
    config = Config.from_env(environ)
    assert (config.checkpoints, config.pool) == (tmp_path / "c", "h200")
    assert config.recipients == {"endpoint": [{"url": "https://a.example/v1"}]}
    assert config.trusted == {"ab" * 32, "cd" * 32}


@pytest.mark.parametrize("name", ["BROKER_URL", "HOLDFAST_HOME", "HOLDFAST_KEYS", "HOLDFAST_SETS"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named(environ: dict[str, str], name: str, value: str | None) -> None:
    del environ[name]
    if value is not None:
        environ[name] = value
    assert name in refusal(environ)


@pytest.mark.parametrize("name", ["DATABASE_URL", "DJANGO_SETTINGS_MODULE"])
def test_the_sites_settings_are_refused_and_not_shown(environ: dict[str, str], name: str) -> None:
    detail = refusal(environ | {name: "SECRET"})
    assert name in detail
    assert "SECRET" not in detail


@pytest.mark.parametrize("name", ["HOLDFAST_KEYS", "HOLDFAST_SETS"])
def test_a_folder_that_is_none_is_named(environ: dict[str, str], name: str, tmp_path: Path) -> None:
    assert name in refusal(environ | {name: str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("HOLDFAST_RECIPIENTS", None),
        ("HOLDFAST_RECIPIENTS", b"[[endpoint"),
        ("HOLDFAST_RECIPIENTS", b"\xff\xfe"),
        ("HOLDFAST_TRUSTED", None),
        ("HOLDFAST_TRUSTED", b"not-a-digest"),
        ("HOLDFAST_TRUSTED", b"AB" * 32),
    ],
)
def test_a_bad_file_is_named(
    environ: dict[str, str], tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    assert name in refusal(environ | {name: str(path)})


@pytest.mark.parametrize("pool", ["../x", "A", "x" * 81, "a b"])
def test_a_pool_is_a_name(environ: dict[str, str], pool: str) -> None:
    assert "HOLDFAST_POOL" in refusal(environ | {"HOLDFAST_POOL": pool})


def test_nothing_is_trusted_by_default() -> None:
    assert trusted_digests({}) == frozenset()
