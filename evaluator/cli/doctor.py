"""``doctor``: examine an evaluator's host, from its settings and keys to the broker and the sets.

It changes nothing, opens no sealed item and prints one line a finding, with advice, and one line
for each engine that passes the self-test.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec

from kombu import Connection

from evaluator import jail
from evaluator.backends import engines
from evaluator.backends.self_test import EngineTest, run_tests
from evaluator.broker import celery_settings
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.config import Config
from evaluator.errors import EXPLANATIONS, EvaluatorError
from evaluator.items import load_items
from evaluator.sealing.checking import check_folder
from evaluator.sealing.formats import MANIFEST
from evaluator.sealing.keys import Keys, load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import check_key

FREE_BYTES = 1 << 30
FREE_FILES = 10_000
DESCRIPTORS = 4096
BROKER_SECONDS = 5
SKEW_SECONDS = 5
GPU_SECONDS = 20
BACKUP_SECONDS = 2 * 86_400
"""Age of a backup beyond which it is pointed out."""


@dataclass(frozen=True)
class Finding:
    """Fact that an operator should know. A ``problem`` makes runs fail; any other is a note."""

    name: str
    sentence: str
    advice: str
    problem: bool = True

    def __str__(self) -> str:
        kind = "problem" if self.problem else "note"
        return f"{kind}: {self.name}: {self.sentence} {self.advice}"


def add_commands(commands: Commands) -> None:
    """Add ``doctor``."""
    doctor = commands.add_parser("doctor", parents=[JSON_OPTION])
    doctor.set_defaults(handler=doctor_command)


def doctor_command(args: argparse.Namespace) -> int:
    """Print the findings. Returns 1 where one of them is a problem."""
    tests: tuple[EngineTest, ...] = ()
    try:
        config = Config.from_env(os.environ)
        findings = examine(config)
        if config.self_test:
            tests = run_tests(config.home, remember=False)
    except EvaluatorError as failure:
        findings = [Finding("settings", str(failure), "The evaluator does not start until then.")]
    passed = []
    for test in tests:
        if test.code is None:
            passed.append(test.engine)
            continue
        if test.failing:
            reason = EXPLANATIONS[test.code].sentence
            sentence = f"{test.engine} fails the self-test ({test.code}): {reason}"
            advice = (
                "Install its pinned release and restart the evaluator: it gets no runs until then."
            )
        else:
            sentence = f"{test.engine} was not tested: there is no memory left for it."
            advice = "Run this again while no run is under way."
        findings.append(Finding("engine", sentence, advice, problem=test.failing))
    wrong = any(finding.problem for finding in findings)
    if args.json:
        record = {
            "ok": not wrong,
            "engines_passed": passed,
            "findings": [asdict(finding) for finding in findings],
        }
        print(json.dumps(record))
    else:
        for engine in passed:
            print(f"ok: engine: {engine} answers as on record.")
        for finding in findings:
            print(finding)
        if not wrong:
            print("ok: this host can take runs")
    return int(wrong)


def examine(config: Config) -> list[Finding]:
    """Return the findings about a host."""
    keys, findings = _keys(config)
    findings += _engines()
    findings += _jail()
    findings += _resources(config)
    findings += _broker(config)
    findings += _sets(config, keys)
    findings += _endpoints(config)
    findings += _backup(config)
    return findings


def _keys(config: Config) -> tuple[Keys | None, list[Finding]]:
    try:
        return load_keys(config.keys), []
    except EvaluatorError as failure:
        return None, [Finding("keys", str(failure), "Runs on sealed sets fail until then.")]


def _engines() -> Iterator[Finding]:
    """Report missing packages and, where there is a GPU, what keeps it from being used."""
    has_gpu = shutil.which("nvidia-smi") is not None
    wanted = {"torch": True, "transformers": True, "litellm": False}
    if has_gpu:
        wanted["vllm"] = False
    for name, problem in wanted.items():
        if find_spec(name) is None:
            advice = f"Install {engines.REQUIREMENTS[name]}."
            yield Finding("package", f"{name} is not installed.", advice, problem=problem)
    if not has_gpu:
        return
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        subprocess.run(command, capture_output=True, timeout=GPU_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        yield Finding("gpu", "nvidia-smi fails.", "Look at the driver: no GPU can be used.")
    has_torch = find_spec("torch") is not None
    if has_torch and version("torch").endswith("+cpu"):
        yield Finding(
            "gpu", "PyTorch is built for CPUs only.", "Install requirements/hosts-gpu.txt."
        )


def _jail() -> Iterator[Finding]:
    if not jail.available():
        advice = "Install it, and allow user namespaces or start the evaluator as root."
        yield Finding(
            "jail", "Bubblewrap is missing or does not work: only trusted checkpoints run.", advice
        )
        return
    for lack in jail.missing():
        yield Finding("jail", lack, "See docs/operations.md.", problem=False)


def _resources(config: Config) -> Iterator[Finding]:
    """Report too few open files, and folders without space or write access."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        sentence = f"A process may open {soft} files only."
        yield Finding(
            "limits", sentence, f"Raise LimitNOFILE to {DESCRIPTORS} at least.", problem=soft < 256
        )
    for folder in (config.home, config.home / "spool", config.home / "work"):
        if not folder.is_dir():
            continue
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        few_files = disk.f_files > 0 and disk.f_favail < FREE_FILES
        if few_files or free < FREE_BYTES:
            yield Finding(
                "disk",
                f"{folder} has less than 1 GiB or {FREE_FILES:,} files left.",
                "Free some space.",
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(
                "disk",
                f"{folder} cannot be written.",
                "Give it to the user that the evaluator runs as.",
            )
    if not config.home.is_dir():
        yield Finding(
            "disk",
            f"{config.home} is no folder.",
            "It is made when the evaluator starts.",
            problem=False,
        )


def _broker(config: Config) -> Iterator[Finding]:
    settings = celery_settings(config.broker_url)
    try:
        options = dict(settings["broker_transport_options"])
        options["socket_connect_timeout"] = BROKER_SECONDS
        with Connection(config.broker_url, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
            yield from _clock(connection)
    except Exception as failure:  # noqa: BLE001 - its text may hold a password
        sentence = f"The broker cannot be reached ({type(failure).__name__})."
        yield Finding("broker", sentence, "Start it, and compare BROKER_URL with the site's.")


def _clock(connection: Connection) -> Iterator[Finding]:
    """Compare this host's clock with that of a Redis broker. Others do not tell theirs."""
    if connection.transport.driver_type != "redis":
        return
    seconds, microseconds = connection.default_channel.client.time()
    skew = time.time() - (seconds + microseconds / 1e6)
    if abs(skew) > SKEW_SECONDS:
        sentence = f"This host's clock differs from the broker's by {skew:+.0f} s."
        advice = "Let both follow the same time servers: messages expire by the clock."
        yield Finding("clock", sentence, advice)


def _sets(config: Config, keys: Keys | None) -> Iterator[Finding]:
    paths = sorted(config.sets.iterdir())
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        yield Finding("sets", f"There is no set in {config.sets}.", "Copy the pairs' sets there.")
    for folder in folders:
        sealed = (folder / MANIFEST).is_file()
        try:
            if sealed:
                check_folder(folder)
            else:
                load_items(folder / "items.jsonl")
            if sealed and keys is not None:
                check_key(folder, keys)
        except EvaluatorError as failure:
            yield Finding("sets", f"{folder.name}: {failure}", "Runs on it go to other evaluators.")


def _endpoints(config: Config) -> Iterator[Finding]:
    try:
        Recipients.from_dict(config.recipients).check_keys()
    except EvaluatorError as failure:
        yield Finding("recipients", str(failure), "The evaluator does not start until then.")


def _backup(config: Config) -> Iterator[Finding]:
    """Report an old backup, by the file that the backup's own script touches."""
    if config.backup_stamp is None:
        return
    advice = "See whether the backup of HOLDFAST_HOME still runs."
    try:
        age = time.time() - config.backup_stamp.stat().st_mtime
    except OSError:
        yield Finding("backup", "No backup has ever ended.", advice)
        return
    if age > BACKUP_SECONDS:
        yield Finding("backup", f"The last backup ended {age / 86_400:.0f} days ago.", advice)
