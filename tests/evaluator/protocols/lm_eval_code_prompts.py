"""Writes what lm-evaluation-harness itself would ask: run by test_lm_eval_code.py in its own process.

    python lm_eval_code_prompts.py TASK ROWS.jsonl

The harness's own task (``humaneval`` or ``mbpp``) is read; only the place of its data is changed, to
a local file. Its metric, which executes programs, is not loaded. Prints one JSON object: version,
generation arguments, and every prompt in the order of the rows.
"""

import json
import sys
import types
from pathlib import Path

metric = types.ModuleType("evaluate")
metric.load = lambda name: types.SimpleNamespace(compute=lambda **_: ({}, {}))  # type: ignore[attr-defined]
sys.modules["evaluate"] = metric

import lm_eval.tasks  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402
from lm_eval.tasks._yaml_loader import load_yaml  # noqa: E402

name, rows = sys.argv[1:]
folder = Path(lm_eval.tasks.__file__).parent / name
config = load_yaml(folder / f"{name}.yaml", resolve_func=True)
assert (config["task"], config["metadata"]["version"]) == (name, 1.0)
config |= {"dataset_path": "json", "dataset_name": None}
config["dataset_kwargs"] = {"data_files": {"test": rows}}

task = ConfigurableTask(config=config)
task.set_fewshot_seed(seed=1234)  # the default of simple_evaluate and of the command line
task.build_all_requests()
requests = [instance.args for instance in task.instances]
json.dump(
    {
        "version": task.VERSION,
        "prompts": [prompt for prompt, _ in requests],
        "generation": [dict(arguments) for _, arguments in requests[:1]],
    },
    sys.stdout,
)
