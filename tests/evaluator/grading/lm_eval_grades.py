"""Writes how lm-evaluation-harness itself grades: run by test_lm_eval_grades.py in a process of its own.

    python lm_eval_grades.py CASES.jsonl

Each line of CASES.jsonl has ``response`` and ``answer`` (the gold answer as the set has it). The harness's own task
file ``gsm8k`` is read; only the place of the data is changed, to that file, and no shots are asked for. The
responses go in where a model's would. Prints a line of JSON for each: by filter, what was extracted and the score.
"""

import json
import sys
from pathlib import Path

import lm_eval.tasks
import yaml
from lm_eval.api.task import ConfigurableTask

config = yaml.safe_load((Path(lm_eval.tasks.__file__).parent / "gsm8k" / "gsm8k.yaml").read_text())
assert (config["task"], config["metadata"]["version"]) == ("gsm8k", 3.0)
config |= {
    "dataset_path": "json",
    "dataset_name": None,
    "num_fewshot": 0,
    "training_split": None,
    "fewshot_split": None,
}
config["dataset_kwargs"] = {"data_files": {"test": sys.argv[1]}}

task = ConfigurableTask(config=config)
task.build_all_requests()
for instance in task.instances:
    instance.resps = [instance.doc["response"]]
task.apply_filters()
for instance in task.instances:
    line = {}
    for name, extracted in instance.filtered_resps.items():
        score = task.process_results(instance.doc, [extracted])["exact_match"]
        line[name] = [extracted, float(score)]
    print(json.dumps(line))
