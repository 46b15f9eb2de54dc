"""Reasons for which an endpoint gave no answer to an item, in words."""

from evaluator.contract import Reason

REASONS: dict[Reason, str] = {
    "filtered": "a content filter or a moderation refused the item, or the model itself did in the"
    " field for that",
    "refused": "the endpoint refused the request for this item with another status",
    "too_long": "the prompt did not fit into the endpoint's context",
    "bad_response": "the response was not a completion, also when asked again",
    "reasoning_only": "the answer stood in the reasoning field only",
}
