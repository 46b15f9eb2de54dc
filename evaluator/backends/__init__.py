"""Clients of a model: one interface, one HTTP implementation, one deterministic fake."""

from evaluator.backends.fake import FakeBackend
from evaluator.backends.fetching import ModelStore, look_at
from evaluator.backends.http import HttpBackend
from evaluator.backends.interface import (
    Backend,
    Completion,
    ItemRefused,
    Reader,
    Reading,
    Sampling,
    Score,
    Scorer,
    Served,
    Usage,
)
from evaluator.backends.servers import (
    Caps,
    EndpointTarget,
    plan_together,
    serve_checkpoint,
    serve_endpoint,
)

__all__ = [
    "Backend",
    "Caps",
    "Completion",
    "EndpointTarget",
    "FakeBackend",
    "HttpBackend",
    "ItemRefused",
    "ModelStore",
    "Reader",
    "Reading",
    "Sampling",
    "Score",
    "Scorer",
    "Served",
    "Usage",
    "look_at",
    "plan_together",
    "serve_checkpoint",
    "serve_endpoint",
]
