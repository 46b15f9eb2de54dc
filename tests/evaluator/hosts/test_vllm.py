"""How vLLM is handed a socket, without vLLM: a module of its name stands for it."""

import os
import socket
import sys
import types
from pathlib import Path

import pytest

from evaluator.hosts import vllm


def test_vllm_takes_the_inherited_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("launcher")
    module.create_server_unix_socket = lambda path: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "launcher", module)
    monkeypatch.setattr(vllm, "_PLACES", ("no.such.module", "launcher"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        vllm.listen_on(listener.fileno())
        taken = module.create_server_unix_socket("ignored")
        assert taken.fileno() == listener.detach()
        assert not os.get_inheritable(taken.fileno())
        taken.close()


def test_a_version_that_makes_its_sockets_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "_PLACES", ("no.such.module", "json"))
    with pytest.raises(SystemExit):
        vllm.listen_on(os.dup(0))
