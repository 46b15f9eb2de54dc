"""The engine: opens sealed sets, asks models, grades answers, reports outcomes and never text."""

__version__ = "0.1.0"
