"""Settings of the evaluator: from the environment, typed, read once, refused when wrong.

The evaluator is the one program that can open sealed sets, so it refuses to start where the site's
settings are set too: a process that can reach both the database and the questions could join them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from evaluator import addresses
from evaluator.contract import Hex32, Name, fits
from evaluator.contract.announcements import MOST_ENDPOINT_RUNS
from evaluator.errors import Code, EvaluatorError, error

FORBIDDEN = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
"""Settings of the site. Where one of them is set, no evaluator starts."""


@dataclass(frozen=True)
class Setting:
    """Environment variable that the evaluator reads, for the manual.

    ``default`` is as it would be set, or a phrase in angle brackets; "" where it must be set.
    """

    default: str
    about: str


SETTINGS: dict[str, Setting] = {
    "BROKER_URL": Setting(
        "", "The broker that the site uses too: `redis://…` or `filesystem://…`."
    ),
    "HOLDFAST_HOME": Setting(
        "",
        "The folder of all state: exposure journal, spool, claims, encrypted completions,"
        " work folders.",
    ),
    "HOLDFAST_KEYS": Setting("", "The folder of this evaluator's keys, as `keygen` makes it."),
    "HOLDFAST_SETS": Setting("", "The folder of the sets, one folder each."),
    "HOLDFAST_CHECKPOINTS": Setting(
        "<`checkpoints` in HOLDFAST_HOME>", "The folder of the checkpoints that runs name."
    ),
    "HOLDFAST_STORE": Setting(
        "<`store` in HOLDFAST_HOME>",
        "The folder of models fetched from the hub or the site: each file once, by its content.",
    ),
    "HOLDFAST_STORE_GIB": Setting(
        "500",
        "GiB that the store may hold, 0.001 to 1000000. Models that were used longest ago make"
        " space for new ones.",
    ),
    "HF_ENDPOINT": Setting(
        "<the client's: the public hub>",
        "The hub, as `https://host`. It may stand in a private network; its redirects to other"
        " hosts may not.",
    ),
    "HOLDFAST_POOL": Setting("default", "The pool of evaluators whose runs this one takes."),
    "HOLDFAST_ANNOUNCE_SECONDS": Setting(
        "20", "Seconds between two announcements to the site, 0.1 to 3600."
    ),
    "HOLDFAST_RECIPIENTS": Setting(
        "<none: no endpoint gets sealed items>",
        "The TOML file that lists endpoints, their tiers, keys and caps.",
    ),
    "HOLDFAST_TRUSTED": Setting(
        "<none>",
        "The file of the digests of checkpoints that may run without a jail where there is no"
        " bubblewrap.",
    ),
    "HOLDFAST_BACKUP_STAMP": Setting(
        "<none>", "A file that your backup touches when it ends: `doctor` names an old one."
    ),
    "HOLDFAST_ENDPOINT_OUTAGE_SECONDS": Setting(
        "1800", "Seconds to wait for an endpoint that answered before and falls silent, 0 to 86400."
    ),
    "HOLDFAST_ENDPOINT_START_SECONDS": Setting(
        "120", "Seconds to wait for an endpoint that has never answered, 0 to 86400."
    ),
    "HOLDFAST_ENDPOINT_RUNS": Setting(
        "8",
        "Runs of endpoints that it carries at once, apart from that of weights, 0 to 64. With 0 an"
        " endpoint takes the place of weights.",
    ),
    "HOLDFAST_REQUESTS_PER_HOST": Setting(
        "128",
        "Requests that all of these runs together have in flight to one host, 2 to 4096.",
    ),
    "HOLDFAST_ENGINE": Setting(
        "auto", "The engine for checkpoints: `auto`, `vllm` or `transformers`."
    ),
    "HOLDFAST_SELF_TEST": Setting(
        "on",
        "`on` or `off`: with `off` an evaluator starts without testing its engines, and `doctor`"
        " does not test them.",
    ),
    "HOLDFAST_SITE": Setting(
        "<none; for commands that of the last login>",
        "The site's address, as `https://host`. An evaluator fetches uploaded models from it, and"
        " declines them without it; the commands of `holdfast` use it.",
    ),
    "HOLDFAST_S3_ENDPOINT": Setting(
        "<none>",
        "The object store of the site's uploads, as `https://host`, where the site has one. It may"
        " stand in a private network.",
    ),
    "HOLDFAST_TOKEN": Setting(
        "<that of `holdfast login`>",
        "The token of an account at that site, for the commands of `holdfast` only.",
    ),
    "OMP_NUM_THREADS": Setting(
        "<every core of the process>", "Threads of a model server on a CPU."
    ),
}
"""Every variable of the environment that the evaluator and its commands read, by name."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Folders of this host, its broker, and the models that it may run.

    - ``home`` holds all state: the exposure journal, the spool, claims, encrypted completions, work
      folders.
    - ``store`` holds models from the hub at ``hub`` and uploads from ``site``, which may lead to
      its object store at ``uploads``, at most ``store_bytes``.
    - ``announce_seconds`` lie between two announcements to the site.
    - ``recipients`` is the parsed allow-list of endpoints.
    - ``trusted`` holds digests of checkpoints that may run without a jail where there is no
      bubblewrap.
    - ``backup_stamp`` is touched by the operator's backup when it ends.
    - With ``self_test`` the engines are tested before the evaluator takes runs.
    - An endpoint that falls silent is waited for ``outage_seconds``, one that has never answered
      ``start_seconds``.
    - It carries ``endpoint_runs`` runs of endpoints at once, apart from that of weights. They have
      at most ``requests_per_host`` requests in flight to one host.
    """

    broker_url: str
    home: Path
    keys: Path
    sets: Path
    checkpoints: Path
    store: Path
    store_bytes: int = 500 << 30
    hub: str = ""
    site: str = ""
    uploads: str = ""
    pool: str = "default"
    announce_seconds: float = 20.0
    recipients: Mapping[str, Any] = field(default_factory=dict)
    trusted: frozenset[str] = frozenset()
    outage_seconds: float = 1800.0
    start_seconds: float = 120.0
    endpoint_runs: int = 8
    requests_per_host: int = 128
    backup_stamp: Path | None = None
    self_test: bool = True

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """Read the settings. Raises ``misconfigured``, naming the setting and never its value."""
        for name in FORBIDDEN:
            if environ.get(name):
                raise error(
                    Code.MISCONFIGURED,
                    f"{name} is set, and the evaluator must not reach the site's data",
                )
        home = _folder(environ, "HOLDFAST_HOME", must_exist=False)
        pool = environ.get("HOLDFAST_POOL") or SETTINGS["HOLDFAST_POOL"].default
        if not fits(pool, Name):
            raise error(Code.MISCONFIGURED, "HOLDFAST_POOL is not a name")
        backup_stamp = environ.get("HOLDFAST_BACKUP_STAMP")
        return cls(
            broker_url=_required(environ, "BROKER_URL"),
            home=home,
            keys=_folder(environ, "HOLDFAST_KEYS"),
            sets=_folder(environ, "HOLDFAST_SETS"),
            checkpoints=_folder(
                environ, "HOLDFAST_CHECKPOINTS", default=home / "checkpoints", must_exist=False
            ),
            store=_folder(environ, "HOLDFAST_STORE", default=home / "store", must_exist=False),
            store_bytes=int(
                _number(environ, "HOLDFAST_STORE_GIB", "GiB", least=0.001, most=1_000_000)
                * (1 << 30)
            ),
            hub=_address(environ, "HF_ENDPOINT"),
            site=_address(environ, "HOLDFAST_SITE"),
            uploads=_address(environ, "HOLDFAST_S3_ENDPOINT"),
            pool=pool,
            announce_seconds=_number(
                environ, "HOLDFAST_ANNOUNCE_SECONDS", "seconds", least=0.1, most=3600
            ),
            recipients=_recipients(environ),
            trusted=trusted_digests(environ),
            outage_seconds=_number(
                environ, "HOLDFAST_ENDPOINT_OUTAGE_SECONDS", "seconds", least=0, most=86_400
            ),
            start_seconds=_number(
                environ, "HOLDFAST_ENDPOINT_START_SECONDS", "seconds", least=0, most=86_400
            ),
            endpoint_runs=_whole(environ, "HOLDFAST_ENDPOINT_RUNS", 0, MOST_ENDPOINT_RUNS),
            requests_per_host=_whole(environ, "HOLDFAST_REQUESTS_PER_HOST", 2, 4096),
            backup_stamp=Path(backup_stamp) if backup_stamp else None,
            self_test=_switch(environ, "HOLDFAST_SELF_TEST"),
        )


def trusted_digests(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the digests in the file that HOLDFAST_TRUSTED names.

    The first word of each line is a digest; ``#`` begins a comment. Raises ``misconfigured`` where
    the file cannot be read or a word is not a digest.
    """
    path = environ.get("HOLDFAST_TRUSTED")
    if not path:
        return frozenset()
    lines = _text("HOLDFAST_TRUSTED", path).splitlines()
    words = []
    for line in lines:
        before_comment, _, _ = line.partition("#")
        if before_comment.strip():
            words.append(line.split()[0])
    try:
        return frozenset(msgspec.convert(words, list[Hex32]))
    except msgspec.ValidationError:
        raise error(
            Code.MISCONFIGURED, "HOLDFAST_TRUSTED: a line does not begin with a SHA-256 digest"
        ) from None


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise error(Code.MISCONFIGURED, f"{name} is not set")
    return value


def _folder(
    environ: Mapping[str, str],
    name: str,
    *,
    default: Path | None = None,
    must_exist: bool = True,
) -> Path:
    path = default if default and not environ.get(name) else Path(_required(environ, name))
    if must_exist and not path.is_dir():
        raise error(Code.MISCONFIGURED, f"{name} is not a folder")
    return path.absolute()


def _number(
    environ: Mapping[str, str],
    name: str,
    unit: str,
    *,
    least: float,
    most: float,
) -> float:
    try:
        number = float(environ.get(name) or SETTINGS[name].default)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        raise error(Code.MISCONFIGURED, f"{name} is not a number of {unit} from {least} to {most}")
    return number


def _whole(
    environ: Mapping[str, str],
    name: str,
    least: int,
    most: int,
) -> int:
    value = environ.get(name) or SETTINGS[name].default
    is_number = value.isascii() and value.isdigit()
    if not is_number or not least <= int(value) <= most:
        raise error(Code.MISCONFIGURED, f"{name} is not a whole number from {least} to {most}")
    return int(value)


def _switch(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name) or SETTINGS[name].default
    if value not in ("on", "off"):
        raise error(Code.MISCONFIGURED, f"{name} is neither on nor off")
    return value == "on"


def _address(environ: Mapping[str, str], name: str) -> str:
    address = (environ.get(name) or "").rstrip("/")
    if address:
        try:
            addresses.check(address, allow_private=True)
        except EvaluatorError:
            raise error(Code.MISCONFIGURED, f"{name} is not an address") from None
    return address


def _recipients(environ: Mapping[str, str]) -> dict[str, Any]:
    path = environ.get("HOLDFAST_RECIPIENTS")
    if not path:
        return {}
    try:
        return tomllib.loads(_text("HOLDFAST_RECIPIENTS", path))
    except tomllib.TOMLDecodeError:
        raise error(Code.MISCONFIGURED, "HOLDFAST_RECIPIENTS is not TOML") from None


def _text(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise error(Code.MISCONFIGURED, f"{name} cannot be read") from None
