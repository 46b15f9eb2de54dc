"""Containers of ``deploy/``: manifests that Kubernetes takes, and the same programs everywhere."""

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.acceptance.test_deploy import DEPLOY, UNITS, WORKERS, unit

KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE = DEPLOY / "containers" / "compose.yaml"
CONTAINERFILE = DEPLOY / "containers" / "Containerfile"
ROOT = DEPLOY.parent
RELEASE = "1.34"


def objects() -> Iterator[dict[str, Any]]:
    """Yield every Kubernetes object."""
    for path in KUBERNETES:
        for document in yaml.safe_load_all(path.read_text()):
            yield from document.get("items", [document])


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the specification of each pod with each of its containers."""
    for one in objects():
        if template := one.get("spec", {}).get("template"):
            pod = template["spec"]
            for container in pod["containers"] + pod.get("initContainers", []):
                yield pod, container


def services() -> dict[str, dict[str, Any]]:
    """Return the services of the compose file."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def programs_of_units() -> set[str]:
    """Return the command lines of the systemd units, as far as no path is in them."""
    lines = [unit(path)["ExecStart"][0].replace("%%h", "%h") for path in UNITS]
    return {_comparable(line.replace("/opt/holdfast/.venv/bin/", "")) for line in lines}


def _comparable(line: str) -> str:
    """Return a command line without what depends on the place: a bind address, a beat's file."""
    line = re.sub(r" -b \S+", "", line)
    return re.sub(r" -s \S+", "", line)


def test_kubernetes_takes_every_object() -> None:
    kinds = []
    for one in objects():
        kubernetes_validate.validate(one, RELEASE, strict=True)
        kinds.append(one["kind"])
    assert kinds.count("Deployment") == 6 and "StatefulSet" in kinds and "NetworkPolicy" in kinds


def test_every_pod_is_confined() -> None:
    for pod, container in containers():
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"]
        assert confined["capabilities"] == {"drop": ["ALL"]}


def test_every_service_of_the_compose_file_is_confined() -> None:
    for name, service in services().items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert name == "migrate" or service["healthcheck"]["test"], name
        if name != "proxy":  # nginx binds its ports and then changes its user
            assert not service["user"].startswith("0"), name


def test_no_evaluator_sees_what_is_the_sites() -> None:
    for name, service in services().items():
        evaluates = name.startswith("evaluator")
        assert ("database" in service["networks"]) is (
            name in ("postgres", "migrate", "site", *WORKERS, "beat")
        )
        if evaluates:
            assert service["env_file"] == ["evaluator.env"]
        else:
            reads = ["site.env"] + ["recorder.env"] * (name in WORKERS)
            assert service.get("env_file", ["site.env"]) == reads
            assert "keys" not in str(service.get("volumes"))
    for _, container in containers():
        names = [one["secretRef"]["name"] for one in container.get("envFrom", [])]
        reads = ["site"] + ["recorder"] * (container["name"] in WORKERS)
        assert names == ([] if "evaluator" in container["image"] else reads)


def test_no_probe_asks_by_remote_control() -> None:
    for path in (COMPOSE, *KUBERNETES):
        assert "inspect" not in path.read_text(), "workers do not answer it"


def test_units_compose_and_kubernetes_start_the_same_programs() -> None:
    units = programs_of_units()
    composed = {
        _comparable(" ".join(service["command"]))
        for name, service in services().items()
        if "holdfast" in service["image"] and name != "migrate"
    }
    assert composed == units
    pods = {
        _comparable(" ".join(container["args"]))
        for _, container in containers()
        if container["name"] not in ("migrate", "keys")
    }
    assert pods == units


def test_images_hold_what_their_programs_need() -> None:
    text = CONTAINERFILE.read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    by_name = {re.match(r"\S+ AS (\S+)", stage)[1]: stage for stage in stages}  # type: ignore[index]
    targets = {"site", "evaluator-cpu", "evaluator-gpu"}
    assert targets == {
        service["build"]["target"] for service in services().values() if "build" in service
    }
    for name in targets:
        assert "\nUSER 10001\nCMD [" in by_name[name]
        assert "--require-hashes" in by_name[name]
        for source in re.findall(r"^COPY (.+) \S+$", by_name[name], flags=re.MULTILINE):
            for path in source.split():
                assert (ROOT / path).exists(), path
    assert "leaderboard" not in by_name["evaluator-cpu"] + by_name["evaluator-gpu"]
    assert "hosts" not in by_name["site"]


def test_the_pins_of_gpu_hosts_are_vllm_for_cuda_with_hashes() -> None:
    text = (ROOT / "requirements" / "hosts-gpu.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, flags=re.MULTILINE))
    assert {"vllm", "litellm", "lm-eval", "torch", "transformers", "celery"} <= set(pins)
    assert any(name.startswith("nvidia-") for name in pins)
    tested = dict(
        re.findall(
            r"^([a-z0-9-]+)==(\S+)",
            (ROOT / "requirements" / "test.txt").read_text(),
            flags=re.MULTILINE,
        )
    )
    for name in ("litellm", "lm-eval", "celery", "cryptography", "msgspec"):
        assert pins[name] == tested[name], f"{name} is tested in another version"
    assert text.count("==") <= text.count("--hash=")


# --- the scripts that containers run


def test_the_import_check_names_what_is_missing() -> None:
    script = DEPLOY / "containers" / "imports.py"
    there = subprocess.run(
        [sys.executable, script, "numpy", "celery"], capture_output=True, text=True, check=False
    )
    assert there.returncode == 0 and there.stdout.startswith("numpy ")
    missing = subprocess.run(
        [sys.executable, script, "numpy", "no_such_engine"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert missing.returncode == 1
    assert missing.stderr == "no_such_engine: cannot be imported (ModuleNotFoundError)\n"


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1)])
def test_the_health_check_asks_the_socket(tmp_path: Path, status: str, code: int) -> None:
    place = tmp_path / "site.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        asked: list[bytes] = []

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        assert healthy(place) == code
        thread.join()
    assert asked[0].startswith(b"GET /livez HTTP/1.1\r\nHost: board.example.org\r\n")


def test_a_site_that_is_away_is_not_healthy(tmp_path: Path) -> None:
    assert healthy(tmp_path / "none.sock") == 1


def healthy(place: Path) -> int:
    """Return the exit code of the health check."""
    return subprocess.run(
        [sys.executable, DEPLOY / "containers" / "healthy.py", place],
        env={"HOLDFAST_ALLOWED_HOSTS": "board.example.org,other.example.org"},
        check=False,
    ).returncode
