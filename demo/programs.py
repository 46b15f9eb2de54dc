"""One installation of Holdfast on this machine: its folders, its addresses, and how each program
starts.

Every program gets an environment of its own with only what it may know: the site and the recorder
never see a key of the evaluator, the evaluator never sees the database.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from demo.services import ServiceFailed, start, wait_until

ROOT = Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1
"""Processor cores that this process may use."""
if hasattr(os, "sched_getaffinity"):
    CORES = len(os.sched_getaffinity(0))
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "PYTHONWARNINGS")

Process = subprocess.Popen[bytes]


def free_port() -> int:
    """Return a TCP port of the loopback address that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Installation:
    """Folders of one installation. ``source`` is the tree whose code is run.

    On ``hub_port``, unless it is 0, a hub serves the checkpoints as repositories of ``demo-org``.
    ``evaluators`` of them serve the same pool, each with its own keys, journal and answers; they
    share the sets. ``serving`` is the engine of checkpoints, as ``HOLDFAST_ENGINE`` has it.
    """

    folder: Path
    database_url: str
    broker_url: str
    port: int
    lease_seconds: float = 5.0
    source: Path = ROOT
    checkpoints: Path = ROOT / "demo" / "checkpoints"
    settings: Mapping[str, str] = field(default_factory=dict)
    evaluators: int = 1
    serving: str = "auto"
    hub_port: int = 0

    @property
    def address(self) -> str:
        """The site's address, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def evaluator_names(self) -> tuple[str, ...]:
        """Program names of the evaluators, which are also the folders of their state."""
        numbers = range(2, self.evaluators + 1)
        return ("evaluator", *(f"evaluator-{number}" for number in numbers))

    @property
    def keys(self) -> Path:
        """The first evaluator's keys."""
        return self.keys_of("evaluator")

    def keys_of(self, evaluator: str) -> Path:
        """Return the folder of an evaluator's keys."""
        return self.folder / evaluator / "keys"

    def home_of(self, evaluator: str) -> Path:
        """Return the folder of an evaluator's journal, spool and stored answers."""
        return self.folder / evaluator / "home"

    @property
    def sets(self) -> Path:
        """The sets that the evaluator holds."""
        return self.folder / "evaluator" / "sets"

    @property
    def recipients(self) -> Path:
        """The evaluator's list of endpoints that may see sealed items."""
        return self.folder / "evaluator" / "recipients.toml"

    @property
    def trusted(self) -> Path:
        """Digests of the checkpoints that may run where there is no bubblewrap."""
        return self.folder / "evaluator" / "trusted"

    @property
    def mails(self) -> Path:
        """The folder of the mail that the site sends: one file for each."""
        return self.folder / "site" / "mail"

    def site_environment(self) -> dict[str, str]:
        """Return the variables of the site and the recorder."""
        return _inherited() | {
            "PYTHONPATH": str(self.source),
            "DJANGO_SETTINGS_MODULE": "leaderboard.settings",
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self.broker_url,
            "SECRET_KEY": self.secret("secret", os.urandom(32).hex()),
            "HOLDFAST_ALLOWED_HOSTS": "127.0.0.1,localhost",
            "HOLDFAST_URL": self.address,
            "HOLDFAST_LEASE_SECONDS": str(self.lease_seconds),
            "HOLDFAST_REDISPATCH_SECONDS": str(4 * self.lease_seconds),
            "HOLDFAST_UPLOADS": str(self.folder / "site" / "uploads"),
            "HOLDFAST_RELEASES": str(self.folder / "site" / "releases"),
            "HOLDFAST_MAIL": f"file://{self.mails.resolve()}",
            "HOLDFAST_QUOTA_RUNS": "100",  # one author submits all of the models
            "HOLDFAST_BOARD_SECONDS": "0",  # visitors of a demo want to see it at once
            **self.hub_setting(),
            **self.settings,
        }

    def hub_setting(self) -> dict[str, str]:
        """Return the variable that names the hub, for the site and the evaluators."""
        if not self.hub_port:
            return {}
        return {"HF_ENDPOINT": f"http://127.0.0.1:{self.hub_port}"}

    def engine_environment(self) -> dict[str, str]:
        """Return the variables of a one-off command of the engine."""
        return _inherited() | {"PYTHONPATH": str(self.source)}

    def evaluator_environment(self, name: str = "evaluator") -> dict[str, str]:
        """Return the variables of an evaluator. ``name`` is the folder of its state: two evaluators
        share no journal."""
        # Model servers that run at once share the cores.
        threads = max(1, CORES // self.evaluators)
        environment = {
            "OMP_NUM_THREADS": str(threads),
            **_inherited(),
            "PYTHONPATH": str(self.source),
            "BROKER_URL": self.broker_url,
            "HOLDFAST_HOME": str(self.home_of(name)),
            "HOLDFAST_KEYS": str(self.keys_of(name)),
            "HOLDFAST_SETS": str(self.sets),
            "HOLDFAST_CHECKPOINTS": str(self.checkpoints),
            "HOLDFAST_SITE": self.address,
            "HOLDFAST_ANNOUNCE_SECONDS": str(self.lease_seconds / 3),
            "HOLDFAST_SELF_TEST": "off",  # a demo is to start at once
            "HOLDFAST_ENGINE": self.serving,
            **self.hub_setting(),
        }
        for variable, value in os.environ.items():
            if variable.startswith("HOLDFAST_ENDPOINT_"):
                environment[variable] = value
        if self.recipients.exists():
            environment["HOLDFAST_RECIPIENTS"] = str(self.recipients)
        if self.trusted.exists():
            environment["HOLDFAST_TRUSTED"] = str(self.trusted)
        return environment

    def secret(self, name: str, new: str) -> str:
        """Return what the site's folder holds under ``name``, which is ``new`` the first time."""
        path = self.folder / "site" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(new)
        return path.read_text()

    # --- one-off commands

    def manage(self, *arguments: str) -> str:
        """Run a management command of the site and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        return self._run(command, self.site_environment())

    def manage_each(self, commands: Iterable[Sequence[str]]) -> None:
        """Run several management commands in one process, in this order, until one fails."""
        words = json.dumps([list(command) for command in commands])
        command = [sys.executable, "-m", "demo.commands", words]
        self._run(command, self.site_environment())

    def engine(self, *arguments: str) -> str:
        """Run a command of the engine and return what it printed."""
        command = [sys.executable, "-m", "evaluator", *arguments]
        return self._run(command, self.engine_environment())

    def _run(self, command: list[str], env: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.source,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServiceFailed(f"{' '.join(command[1:4])} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    # --- the long-running programs

    @property
    def starts(self) -> dict[str, Callable[[], Process]]:
        """Return the command line of each program by name, in the order of starting."""
        evaluators = {}
        for name in self.evaluator_names:
            evaluators[name] = partial(self.start_evaluator, name)
        return {
            "recorder": self.start_recorder,
            **evaluators,
            "site": self.start_site,
            "hub": self.start_hub,
            "provider": self.start_provider,
            "notifications": self.start_notifications,
        }

    def start_hub(self) -> Process:
        """Start the hub of the checkpoints. It answers long before it is first asked."""
        repositories = []
        for path in sorted(self.checkpoints.iterdir()):
            if path.is_dir():
                repositories.append(f"demo-org/demo-{path.name}={path}")
        command = ["demo.hub", "--port", str(self.hub_port), *repositories]
        return self._start(command, self.engine_environment(), "hub")

    @property
    def provider_port(self) -> int:
        """Port of the provider: the evaluators list its address, so it stays the same."""
        return int(self.secret("provider-port", str(free_port())))

    def start_provider(self) -> Process:
        """Start the provider of the endpoint under contract."""
        command = ["demo.provider", "--port", str(self.provider_port)]
        return self._start(command, self.engine_environment(), "provider")

    def start_site(self) -> Process:
        """Start the site and wait until it answers."""
        command = ["gunicorn", "leaderboard.wsgi"]
        command += ["--bind", f"127.0.0.1:{self.port}"]
        command += ["--threads", "4", "--no-control-socket"]
        process = self._start(command, self.site_environment(), "site")
        wait_until(
            self._answers,
            seconds=60,
            what=f"the site (log: {self.log('site')})",
            process=process,
        )
        return process

    def start_recorder(self) -> Process:
        """Start one worker of the site that does everything but mail, with beat inside."""
        return self.start_worker("recorder", "record,rankings,housekeeping", beat=True)

    def start_notifications(self) -> Process:
        """Start the worker that sends mail and calls webhooks. It waits for slow receivers."""
        return self.start_worker("notifications", "notifications")

    def start_worker(
        self,
        name: str,
        queues: str,
        *,
        beat: bool = False,
    ) -> Process:
        """Start a worker of the site for some of its queues, which are joined by commas."""
        command = ["celery", "-A", "leaderboard.celery", "worker", "-Q", queues]
        command += ["--pool", "solo", "-l", "warning", "-n", f"{name}@%h"]
        if beat:
            command += ["-B", "-s", self._schedule]
        return self._start(command, self.site_environment(), name)

    def start_beat(self) -> Process:
        """Start the clock of the housekeeping, where no worker has it inside."""
        command = ["celery", "-A", "leaderboard.celery", "beat", "-l", "warning"]
        command += ["-s", self._schedule, "--pidfile="]
        return self._start(command, self.site_environment(), "beat")

    @property
    def _schedule(self) -> str:
        return str(self.folder / "site" / "beat")

    def start_evaluator(self, name: str = "evaluator") -> Process:
        """Start an evaluator; it starts its model servers itself."""
        command = ["celery", "-A", "evaluator.worker", "worker"]
        command += ["-Q", "evaluate.default", "--pool", "solo"]
        command += ["-l", "warning", "-n", f"{name}@%h"]
        return self._start(command, self.evaluator_environment(name), name)

    def log(self, name: str) -> Path:
        """Return the file of a program's output."""
        return self.folder / "logs" / f"{name}.log"

    def _start(
        self,
        command: list[str],
        env: dict[str, str],
        name: str,
    ) -> Process:
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        # `python -m` rather than the installed script: a moved environment works too.
        return start(
            [sys.executable, "-m", *command],
            env=env,
            log=log,
            folder=self.source,
        )

    def _answers(self) -> bool:
        try:
            self.get("/livez", as_json=False)
        except (URLError, OSError):
            return False
        return True

    # --- talking to the site, as anyone would

    def get(
        self,
        path: str,
        *,
        token: str = "",
        as_json: bool = True,
    ) -> Any:
        """GET a page or an API resource."""
        request = Request(self.address + path)
        return self._ask(request, token=token, as_json=as_json)

    def post(
        self,
        path: str,
        data: object,
        *,
        token: str = "",
        key: str = "",
    ) -> Any:
        """POST JSON to the API; ``key`` makes repeating it harmless."""
        body = json.dumps(data).encode()
        request = Request(self.address + path, data=body, method="POST")
        request.add_header("Content-Type", "application/json")
        if key:
            request.add_header("Idempotency-Key", key)
        return self._ask(request, token=token, as_json=True)

    def _ask(self, request: Request, *, token: str, as_json: bool) -> Any:
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if as_json else body.decode()

    # --- what an evaluator is given

    def allow_endpoints(
        self,
        endpoints: Iterable[tuple[str, str]],
        *,
        api: str = "completions",
        provider: str = "",
        key_file: Path | None = None,
    ) -> None:
        """List endpoints on this machine, each a (URL, model), as T1 on the evaluator and on the
        site.

        They are asked with the key in ``key_file``, or without one.
        """
        key = f'key_file = "{key_file}"' if key_file else "no_key = true"
        options = f'api = "{api}"\nprovider = "{provider}"\n{key}\nallow_private = true\n'
        about = ("--api", api, "--provider", provider)
        entries = []
        commands = []
        for url, model in endpoints:
            entries.append(f'[[endpoint]]\nurl = "{url}"\nmodel = "{model}"\n{options}')
            commands.append(("register_endpoint", url, "--model", model, *about))
        self.recipients.parent.mkdir(parents=True, exist_ok=True)
        with self.recipients.open("a") as listed:
            listed.write("\n".join([*entries, ""]))
        self.manage_each(commands)


def has_bubblewrap() -> bool:
    """Return True if this machine can jail checkpoints."""
    return shutil.which("bwrap") is not None


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}
