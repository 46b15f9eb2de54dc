"""Inspect on ready-made prompts: ``python inspect_gsm8k.py URL PROMPTS.jsonl CONCURRENCY
FOLDER-FOR-LOGS``."""

import json
import sys
from pathlib import Path

from inspect_ai import Task, eval  # noqa: A004 - its own name
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

url, prompts, concurrency, logs = sys.argv[1:]
samples = []
for line in Path(prompts).read_text().splitlines():
    row = json.loads(line)
    samples.append(Sample(input=row["prompt"], target=row["target"]))
task = Task(
    dataset=MemoryDataset(samples),
    solver=generate(),
    scorer=match(numeric=True),
)
config = GenerateConfig(max_connections=int(concurrency), max_tokens=1000, temperature=0)
model = get_model(
    "openai/stub",
    base_url=url,
    api_key="none",
    config=config,
    responses_api=False,
)
[log] = eval(
    task,
    model=model,
    log_dir=logs,
    display="none",
    log_level="error",
)
assert log.status == "success", log.error  # noqa: S101 - a bench
assert log.results is not None  # noqa: S101
print(f"{log.results.scores[0].metrics['accuracy'].value} of {log.results.completed_samples}")
