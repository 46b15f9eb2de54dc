"""The model that an endpoint says has answered, in a form that can be told.

An endpoint may write anything there, the question it was asked included, and what it writes would stand on a page. So
only the name that was asked for is repeated, with a version in digits behind it; of any other text its digest, which
still shows that one model was another for a while.
"""

import hashlib
import re

MOST = 8
"""Different names that are kept: one that changes with every answer says no more."""
_VERSION = re.compile(r"([-._:@]v?[0-9][0-9.-]{0,15})?")


def told(asked: str, returned: str) -> str:
    """``returned`` where it is the model ``asked`` for, by whatever part of its path, with or without a version."""
    names = {asked, asked.partition("/")[2], asked.rpartition("/")[2]} - {""}
    for name in names | {name.removesuffix("-latest") for name in names}:
        if returned.startswith(name) and _VERSION.fullmatch(returned, len(name)):
            return returned
    return "sha256:" + hashlib.sha256(returned.encode("utf-8", "surrogatepass")).hexdigest()[:16]
