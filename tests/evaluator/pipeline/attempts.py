"""An installed evaluator for one test: its broker is a list, its model a function."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from evaluator.artefacts import CheckpointFacts
from evaluator.artefacts.placement import Together
from evaluator.backends import Backend, Completion, FakeBackend, Sampling
from evaluator.config import Config
from evaluator.contract import Declined, Exposed, Exposure, Failed, Finished, Weights
from evaluator.errors import Code
from evaluator.pipeline import parts, turns
from evaluator.pipeline.attempt import run_job
from evaluator.pipeline.context import Context
from evaluator.pipeline.leases import GrantedLeases
from evaluator.worker import open_context
from tests.evaluator.installed import Installed

WEIGHTS = Weights(bytes=1000, count=1, tensors=(("ab" * 16, 1000),))
OTHER_WEIGHTS = Weights(bytes=500, count=1, tensors=(("ba" * 16, 500),))


def facts(digest: str, weights: Weights) -> CheckpointFacts:
    """Facts of a checkpoint of one layer."""
    return CheckpointFacts(digest, "LlamaForCausalLM", 1000, (), weights, 1)


FACTS = facts("cd" * 32, WEIGHTS)
VERIFIER_FACTS = facts("dc" * 32, OTHER_WEIGHTS)
CHECKPOINT = {"kind": "checkpoint", "name": "model"}
URL = "https://models.example/v1"
SYSTEM = {
    "kind": "system",
    "generator": CHECKPOINT,
    "verifier": {"kind": "checkpoint", "name": "verifier"},
}
ENDPOINT = {"kind": "endpoint", "url": URL, "model": "m", "api": "chat"}


def right(prompt: str) -> str:
    return " It is number " + prompt.rsplit("number ", maxsplit=1)[-1].split("?", maxsplit=1)[0]


class Bench:
    """An installed evaluator whose broker is a list and whose model is a function."""

    def __init__(self, place: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.envelopes: list[dict[str, Any]] = []
        self.model: Backend = FakeBackend(right)
        self.verifier: Any = None
        self.served: list[dict[str, Any]] = []
        self.loaded = self.most_loaded = 0
        self.stopping = False
        self.context = self.open()
        for name in ("model", "verifier"):
            (place.folder / "checkpoints" / name).mkdir(exist_ok=True)
        monkeypatch.setattr(
            parts,
            "inspect_checkpoint",
            lambda folder, *, verifier: VERIFIER_FACTS if verifier else FACTS,
        )
        monkeypatch.setattr(parts, "is_jailed", lambda digest, trusted: True)
        self.together: Together | None = None
        monkeypatch.setattr(turns, "plan_together", lambda *_: self.together)
        monkeypatch.setattr(parts, "serve_checkpoint", self._serve)
        monkeypatch.setattr(parts, "serve_endpoint", self._serve)

    def open(self) -> Context:
        """A newly started process on the same folders."""
        config = Config.from_env(self.place.environ("memory://"))
        context, spool = open_context(
            config, self.envelopes.extend, leases=GrantedLeases(), stopping=lambda: self.stopping
        )
        self.spool = spool
        spool.start()
        return context

    @contextlib.asynccontextmanager
    async def _serve(self, target: object, **about: Any) -> AsyncIterator[Backend]:
        self.served.append({"target": target, **about})
        self.loaded += 1
        self.most_loaded = max(self.most_loaded, self.loaded)
        try:
            yield self.verifier if about.get("verifier") else self.model
        finally:
            self.loaded -= 1

    def run(self, job: object) -> list[Any]:
        """Do a job and give all reports."""
        run_job(job, self.context)
        return self.finish()

    def run_with(self, context: Context, job: object) -> None:
        """Do a job with another context than the installed one; no report is read."""
        run_job(job, context)

    def finish(self) -> list[Any]:
        assert self.spool.close(seconds=10)
        return self.place.reports(self.envelopes)


class Acting:
    """A model that does something of its own for each prompt."""

    def __init__(self, act: Callable[[str], str], latency: float = 0) -> None:
        self.act, self.latency = act, latency

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        await asyncio.sleep(self.latency)
        return Completion(self.act(prompt), cut=False)


def last_code(reports: list[Any]) -> Code:
    """The code of an attempt that failed, or was declined before it began."""
    assert isinstance(reports[-1].body, Failed | Declined)
    assert not any(isinstance(report.body, Finished) for report in reports)
    code: Code = reports[-1].body.code
    return code


def exposures(reports: list[Any]) -> list[Any]:
    return [line for line in lines(reports) if isinstance(line, Exposure)]


def lines(reports: list[Any]) -> list[Any]:
    return [
        line
        for report in reports
        if isinstance(report.body, Exposed)
        for line in report.body.entries
    ]
