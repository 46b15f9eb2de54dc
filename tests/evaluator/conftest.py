"""What the engine's tests share: a tiny checkpoint made on the spot, and endpoints that misbehave."""

import contextlib
import itertools
import json
import resource
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.services import start_redis, stop
from tests.evaluator.endpoints import Steady, steady_endpoints
from tests.evaluator.installed import Installed, write_rows
from tests.evaluator.worker_process import Broker, Worker

STUB = Path(__file__).parents[1] / "servers" / "stub_endpoint.py"
ODD = STUB.with_name("odd_endpoint.py")
LINES = [
    "Question: Tom has 3 apples and 4 pears.\nAnswer: 3 + 4 = 7\n#### 7",
    "Question: How many?\nAnswer: 12",
]


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 40,000 parameters with a context of 128 tokens. It babbles, always the same way."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES * 3,
        trainers.BpeTrainer(
            vocab_size=330, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet
        ),
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    for path in folder.iterdir():  # as a checkout would have them
        path.chmod(0o644)
    return folder


@dataclass(frozen=True)
class Stub:
    """A running stub endpoint."""

    url: str

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked so far."""
        with urllib.request.urlopen(
            self.url.removesuffix("/v1") + "/requests", timeout=10
        ) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found


@pytest.fixture
def start_stub() -> Iterator[Callable[[str], Stub]]:
    """Starts stub endpoints by mode; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(mode: str) -> Stub:
            child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(STUB), "--mode", mode], stdout=subprocess.PIPE, text=True
                )
            )
            stack.callback(child.kill)
            assert child.stdout is not None
            return Stub(child.stdout.readline().strip())

        yield start


@pytest.fixture(scope="session")
def odd_endpoints() -> Iterator[str]:
    """The address of all endpoints that are odd in one way each."""
    with subprocess.Popen([sys.executable, str(ODD)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.kill()


@pytest.fixture
def start_odd(odd_endpoints: str) -> Callable[..., Stub]:
    """Endpoints that know the answers and are odd in one way: see ``odd_endpoint.py``."""
    names = itertools.count()
    mark = secrets.token_hex(4)
    return lambda odd, when="always": Stub(f"{odd_endpoints}/{odd}/{when}/{mark}-{next(names)}/v1")


@pytest.fixture
def small_files() -> Callable[[], contextlib.AbstractContextManager[int]]:
    """``with small_files() as limit``: no file of this process may grow beyond so many bytes meanwhile.

    A full disk without a mount. Only around what is tested: a test runner that writes to a file would meet it too.
    """

    @contextlib.contextmanager
    def limit() -> Iterator[int]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            yield 1000
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def start_steady(tmp_path: Path) -> Iterator[Callable[..., Steady]]:
    with steady_endpoints() as start:

        def begin(rows: list[dict[str, str]], latency: float) -> Steady:
            write_rows(tmp_path / "gold.jsonl", rows)
            return start(tmp_path / "gold.jsonl", latency)

        yield begin


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def begin(place: Installed, url: str) -> Worker:
        workers.append(Worker(place, Broker(url)))
        return workers[-1]

    yield begin
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.process.kill()
        worker.process.wait()
        worker.broker.connection.release()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[str]:
    """A broker of this test's own, so that what one test leaves is nothing to another."""
    (tmp_path / "r").mkdir()
    process, url = start_redis(tmp_path / "r")
    yield url
    stop([process])
