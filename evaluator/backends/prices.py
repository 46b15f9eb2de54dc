"""Prices of models, as LiteLLM lists them."""

import importlib.util
import json
from pathlib import Path

_MILLION = 1_000_000


def listed_prices(model: str) -> tuple[float, float] | None:
    """Return the prices of a model in LiteLLM's own list, for a million tokens.

    The list is read; the library is not loaded.
    """
    library = importlib.util.find_spec("litellm")
    folders = library.submodule_search_locations if library else None
    for folder in folders or ():
        try:
            listed = json.loads(
                Path(folder, "model_prices_and_context_window_backup.json").read_bytes()
            )
            prices = listed.get(model) or listed[model.partition("/")[2]]
            price_in = float(prices["input_cost_per_token"])
            price_out = float(prices["output_cost_per_token"])
            return price_in * _MILLION, price_out * _MILLION
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
