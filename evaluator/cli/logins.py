"""Sites that a person is signed in to, and their tokens: one file that only its owner may read.

It is ``holdfast/logins.json`` in the folder of ``XDG_CONFIG_HOME``, else of ``~/.config``. The
variables ``HOLDFAST_SITE`` and ``HOLDFAST_TOKEN`` go before it.
"""

import contextlib
import ipaddress
import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from evaluator import addresses
from evaluator.cli.failures import NOT_SIGNED_IN, CommandFailed
from evaluator.errors import EvaluatorError

SITE = "HOLDFAST_SITE"
TOKEN = "HOLDFAST_TOKEN"  # noqa: S105 - the name of a variable


class Logins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens by the address of their site; ``last`` is the site of the last login, or empty."""

    last: str = ""
    tokens: dict[str, str] = {}


def path() -> Path:
    """Return the file's path."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has programs ignore a relative path.
    folder = configured if configured.startswith("/") else "~/.config"
    return Path(folder).expanduser() / "holdfast" / "logins.json"


def read() -> Logins:
    """Return what is stored. Raises ``login_unreadable``, also where others may read it."""
    file = path()
    try:
        if file.stat().st_mode & 0o077:
            raise _unreadable("other accounts of this machine may read it", f"chmod 600 {file}")
        return msgspec.json.decode(file.read_bytes(), type=Logins)
    except FileNotFoundError:
        return Logins()
    except OSError as failure:
        raise _unreadable(type(failure).__name__, "Make it readable for yourself.") from None
    except msgspec.MsgspecError:
        raise _unreadable("damaged", f"Delete {file} and log in again.") from None


def write(logins: Logins) -> None:
    """Replace what is stored, at once. Raises ``login_unreadable``."""
    file = path()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its mode is 0600 from the start.
        number, name = tempfile.mkstemp(dir=file.parent, prefix=".logins-")
        try:
            with os.fdopen(number, "wb") as out:
                out.write(msgspec.json.encode(logins))
            Path(name).replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as failure:
        raise _unreadable(type(failure).__name__, "Make the folder writable.") from None


def _unreadable(why: str, advice: str) -> CommandFailed:
    return CommandFailed(
        "login_unreadable",
        "The file of tokens cannot be used.",
        advice,
        detail=f"{path()}: {why}",
        exit_code=NOT_SIGNED_IN,
    )


def site_address(text: str) -> str:
    """Return the address of a site in one spelling.

    Raises ``site_address_refused`` for what is none, and for plain http unless to this machine or a
    private network: the token would be readable on its way.
    """
    address = text.strip().rstrip("/")
    if "://" not in address:
        address = f"https://{address}"
    scheme, _, rest = address.partition("://")
    host, slash, folder = rest.partition("/")
    address = f"{scheme.lower()}://{host.lower()}{slash}{folder}"
    try:
        addresses.check(address, allow_private=True)
    except EvaluatorError as refused:
        raise _refused_address(refused.detail) from None
    if urlsplit(address).scheme == "http" and not _is_private(host):
        raise _refused_address("plain http")
    return address


def _is_private(host: str) -> bool:
    """Return True for a host of this machine or of a private network, by its address or name."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        literal = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return not addresses.permitted(literal, allow_private=False)
    try:
        addresses.check(f"https://{name}", allow_private=False)
    except EvaluatorError:
        return True
    return False


def _refused_address(why: str) -> CommandFailed:
    return CommandFailed(
        "site_address_refused",
        "This cannot be the address of a site.",
        "Give the one of its front page, as https://host.",
        detail=why,
    )


def chosen_address(named: str) -> str:
    """Return the site's address: as named, of ``HOLDFAST_SITE``, or of the last login.

    Raises ``site_missing``, ``site_address_refused``, ``login_unreadable``.
    """
    chosen = named or os.environ.get(SITE, "") or read().last
    if not chosen:
        raise CommandFailed(
            "site_missing",
            "No site is named.",
            f"Log in with 'holdfast login https://host', give --site, or set {SITE}.",
        )
    return site_address(chosen)


def token_for(address: str) -> str:
    """Return the token for a site: that of ``HOLDFAST_TOKEN``, else the stored one, else "".

    Raises ``token_malformed``.
    """
    token = os.environ.get(TOKEN, "")
    if not token:
        token = read().tokens.get(address, "")
    return checked_token(token)


def checked_token(text: str) -> str:
    """Return a text that can be sent as a token. Raises ``token_malformed``."""
    if text.isascii() and (text.isprintable() and " " not in text):
        return text
    raise CommandFailed(
        "token_malformed",
        "This is no token.",
        "Paste all of it: letters, digits, '-' and '_', on one line.",
        exit_code=NOT_SIGNED_IN,
    )
