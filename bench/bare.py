"""The limit that ``bench.local`` holds engines against: a library's own ``generate`` on the same
token ids.

``python -m bench.bare --engine (transformers|vllm) --model DIR SET SET`` prints one JSON object:
the seconds of ``generate`` alone, without loading, tokenising or grading, and what the model wrote.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evaluator import protocols
from evaluator.items import load_items

PROTOCOL = protocols.get("demo-0shot")
BATCH = 64


def transformers(model: Path, prompts: Sequence[str]) -> tuple[float, list[str]]:
    """Batches by length; a token with a line feed ends a row, as the stop string would."""
    import torch  # noqa: PLC0415 - one of two engines
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    ends = []
    for token in range(len(tokenizer)):
        if "\n" in tokenizer.decode([token]):
            ends.append(token)
    ends.append(tokenizer.eos_token_id)
    rows: list[list[int]] = tokenizer(list(prompts))["input_ids"]
    by_length = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    out: dict[int, list[int]] = {}
    begin = time.perf_counter()
    for start in range(0, len(by_length), BATCH):
        batch = by_length[start : start + BATCH]
        unpadded = {"input_ids": [rows[index] for index in batch]}
        padded = tokenizer.pad(unpadded, return_tensors="pt")
        with torch.inference_mode():
            found = network.generate(
                **padded,
                max_new_tokens=PROTOCOL.max_tokens,
                do_sample=False,
                eos_token_id=ends,
            )
        width = padded["input_ids"].shape[1]
        written = found[:, width:].tolist()
        out |= dict(zip(batch, written, strict=True))
    seconds = time.perf_counter() - begin
    texts = []
    for index in range(len(rows)):
        texts.append(tokenizer.decode(out[index], skip_special_tokens=True))
    return seconds, texts


def vllm(model: Path, prompts: Sequence[str]) -> tuple[float, list[str]]:
    """All prompts at once, in this process."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    from vllm import LLM, SamplingParams  # noqa: PLC0415 - one of two engines

    engine: Any = LLM(
        str(model),
        dtype="float32",
        enforce_eager=True,
        seed=0,
        generation_config="vllm",
        max_num_seqs=256,
    )
    tokenizer = engine.get_tokenizer()
    rows = []
    for prompt in prompts:
        rows.append({"prompt_token_ids": tokenizer(prompt)["input_ids"]})
    sampling = SamplingParams(
        temperature=0,
        max_tokens=PROTOCOL.max_tokens,
        stop=list(PROTOCOL.stop),
    )
    begin = time.perf_counter()
    found = engine.generate(rows, sampling, use_tqdm=False)
    seconds = time.perf_counter() - begin
    return seconds, [output.outputs[0].text for output in found]


def main() -> None:
    """Generate once."""
    parser = argparse.ArgumentParser(prog="bench.bare")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--engine", choices=("transformers", "vllm"), required=True)
    parser.add_argument("sets", type=Path, nargs="+")
    asked = parser.parse_args()
    sets = {path.stem: load_items(path) for path in asked.sets}
    prompts: list[str] = []
    for items in sets.values():
        prompts += [PROTOCOL.prompt(item, ()) for item in items]
    generate = vllm if asked.engine == "vllm" else transformers
    seconds, texts = generate(asked.model, prompts)
    # Of each answer the first line; the prompts of the sets follow one another.
    left = iter(text.split("\n")[0] for text in texts)
    answers = {}
    for name, items in sets.items():
        answers[name] = list(islice(left, len(items)))
    print(json.dumps({"generate": seconds, "answers": answers}))


if __name__ == "__main__":
    main()
