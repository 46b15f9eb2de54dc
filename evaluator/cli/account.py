"""``login`` and ``logout``: a token for a site, stored for the commands that talk to it."""

import argparse
import getpass
import json
import os
import sys

from evaluator.cli import logins
from evaluator.cli.answers import Account, read_as
from evaluator.cli.client import Site, missing_token
from evaluator.cli.failures import DONE
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import printable


def add_commands(commands: Commands) -> None:
    """Add ``login`` and ``logout``."""
    login = commands.add_parser("login", parents=[JSON_OPTION])
    login.add_argument("site", nargs="?", default="", metavar="https://HOST")
    login.set_defaults(handler=login_command)
    logout = commands.add_parser("logout", parents=[JSON_OPTION])
    logout.add_argument("site", nargs="?", default="", metavar="https://HOST")
    logout.set_defaults(handler=logout_command)


def login_command(args: argparse.Namespace) -> int:
    """Ask the site whose token it is, and store it. The token is typed unseen, or read from
    standard input where that is no terminal."""
    address = logins.chosen_address(args.site)
    if sys.stdin.isatty():
        print(f"Make a token at {address}/accounts/tokens/ and paste it here.", file=sys.stderr)
        typed = getpass.getpass("Token: ")
    else:
        typed = sys.stdin.readline(10_000)
    token = logins.checked_token(typed.strip())
    if not token:
        raise missing_token(address)
    data = Site(address, token).get("/account")
    account = read_as(Account, data)
    stored = logins.read()
    tokens = stored.tokens | {address: token}
    logins.write(logins.Logins(last=address, tokens=tokens))
    if args.json:
        print(json.dumps({"site": address} | data))
    else:
        until = f"until {account.expires[:10]}" if account.expires else "without an expiry"
        greeting = f"Signed in at {address} as {account.username}: scope {account.scope}, {until}."
        print(printable(f"{greeting} Stored in {logins.path()}."))
    if os.environ.get(logins.TOKEN):
        print(f"{logins.TOKEN} is set, and goes before the stored token.", file=sys.stderr)
    return DONE


def logout_command(args: argparse.Namespace) -> int:
    """Forget the token of a site. It stays valid until it is revoked there."""
    address = logins.chosen_address(args.site)
    stored = logins.read()
    known = address in stored.tokens
    left = dict(stored.tokens)
    left.pop(address, None)
    last = "" if stored.last == address else stored.last
    if known:
        logins.write(logins.Logins(last=last, tokens=left))
    if args.json:
        print(json.dumps({"site": address, "forgotten": known}))
    elif known:
        print(f"Forgotten. The token stays valid: revoke it at {address}/accounts/tokens/.")
    else:
        print(f"There was no token for {address}.")
    return DONE
