"""Writes what lm-evaluation-harness itself would ask: run by test_lm_eval.py in a process of its own.

    python lm_eval_prompts.py FOLDER-OF-GSM8K

The harness's own task file ``gsm8k`` is read; only the place of the data is changed, to local files.
Prints one JSON object: version, generation arguments, and every prompt in the order of the test set.
"""

import json
import sys
from pathlib import Path

import lm_eval.tasks
import yaml
from lm_eval.api.task import ConfigurableTask

folder = Path(sys.argv[1])
config = yaml.safe_load((Path(lm_eval.tasks.__file__).parent / "gsm8k" / "gsm8k.yaml").read_text())
assert (config["task"], config["metadata"]["version"], config["num_fewshot"]) == ("gsm8k", 3.0, 5)
config |= {"dataset_path": "json", "dataset_name": None}
config["dataset_kwargs"] = {
    "data_files": {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
}

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
