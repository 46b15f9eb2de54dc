"""What can only seal or verify never loads what can open."""

import json
import subprocess
import sys

import pytest

OPENING = {
    f"evaluator.sealing.{name}" for name in ("open", "keys", "exposure", "vault", "completions")
}
LEDGER = ("entries", "envelopes", "manifests", "signatures", "tree")


def loaded_by(module: str) -> set[str]:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(result.stdout))


@pytest.mark.parametrize(
    "module", ["evaluator.sealing.seal", *(f"evaluator.ledger.{name}" for name in LEDGER)]
)
def test_nothing_that_opens_is_loaded(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert not loaded & OPENING
    assert not {
        name
        for name in loaded
        if name.partition(".")[0] in {"django", "celery", "torch", "transformers"}
    }


def test_the_ledger_loads_nothing_of_sealing() -> None:
    for name in LEDGER:
        assert not {
            module for module in loaded_by(f"evaluator.ledger.{name}") if "sealing" in module
        }


def test_the_vault_does_load_what_opens() -> None:
    assert OPENING - {"evaluator.sealing.completions"} <= loaded_by("evaluator.sealing.vault")
