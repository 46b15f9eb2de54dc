"""Model name that an endpoint returns, in a form that may be published.

An endpoint may write anything into that field, the question included, and the name stands on a
page. So only the requested name is repeated, with a version in digits after it. Any other text is
published as its digest, which still shows that another model answered for a while.
"""

import hashlib
import re

MAX_NAMES = 8
"""Different names that are recorded: a name that changes with every answer adds nothing."""
_VERSION = re.compile(r"([-._:@]v?[0-9][0-9.-]{0,15})?")


def publishable_name(requested: str, returned: str) -> str:
    """Return ``returned`` if it is the ``requested`` model, else the digest of it.

    Any part of the requested path counts, with or without a version.
    """
    _, _, without_provider = requested.partition("/")
    _, _, last_part = requested.rpartition("/")
    names = {requested, without_provider, last_part} - {""}
    for name in names | {name.removesuffix("-latest") for name in names}:
        if returned.startswith(name) and _VERSION.fullmatch(returned, len(name)):
            return returned
    return "sha256:" + hashlib.sha256(returned.encode("utf-8", "surrogatepass")).hexdigest()[:16]
