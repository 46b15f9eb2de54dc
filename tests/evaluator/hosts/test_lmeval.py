"""The bridge from a loopback port to a Unix socket, and what of a task is replaced."""

import socket
import threading
from pathlib import Path

from evaluator.hosts.lmeval import Bridge, with_local_files


def test_bytes_go_both_ways_and_an_end_is_an_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def echo() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    while chunk := connection.recv(1 << 16):
                        connection.sendall(chunk.upper())

        thread = threading.Thread(target=echo, daemon=True)
        thread.start()
        with Bridge(str(path)) as port:
            for text in (b"one", b"x" * 300_000):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    client.sendall(text)
                    client.shutdown(socket.SHUT_WR)
                    got = b""
                    while chunk := client.recv(1 << 16):
                        got += chunk
                    assert got == text.upper()
        thread.join(timeout=10)


def test_a_server_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    with (
        Bridge(str(tmp_path / "none")) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        assert client.recv(10) == b""


def test_only_the_place_of_the_data_is_replaced() -> None:
    splits = {"test": "/a", "train": "/b"}
    task = with_local_files("/lm/gsm8k.yaml", {"task": "gsm8k", "splits": splits})
    assert task == {
        "include": "/lm/gsm8k.yaml", "task": "gsm8k", "test_split": "test", "training_split": "train",
        "fewshot_split": "train", "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": splits},
    }  # fmt: skip
    assert "fewshot_split" not in with_local_files(
        "/x", {"task": "gsm8k", "splits": {"test": "/a"}}
    )
