"""Options that several commands have in common: parents of the commands' parsers."""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Parsers of the commands; each module adds its own."""

JSON_OPTION = argparse.ArgumentParser(add_help=False)
JSON_OPTION.add_argument("--json", action="store_true", help="print one JSON object")

SITE_OPTIONS = argparse.ArgumentParser(add_help=False, parents=[JSON_OPTION])
SITE_OPTIONS.add_argument(
    "--site",
    default="",
    help="the site's address, as https://host (default: HOLDFAST_SITE, or the site of the last"
    " login)",
)

MODEL_OPTIONS = argparse.ArgumentParser(add_help=False)
MODEL_OPTIONS.add_argument(
    "--base",
    default="",
    metavar="ORGANISATION/NAME[@REVISION]",
    help="base model of an adapter, or the id of its upload (default: the one that its"
    " configuration names)",
)
MODEL_OPTIONS.add_argument(
    "--organisation",
    default="",
    metavar="NAME",
    help="your organisation that submits (default: the one that you joined first)",
)
MODEL_OPTIONS.add_argument(
    "--hub-token",
    default="",
    metavar="VARIABLE",
    help="environment variable that holds an access token to a gated repository",
)
