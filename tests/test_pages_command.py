"""`bnlab dashboard`: what it says where it cannot start, and that it ends when told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bnlab.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]


def refused(capsys, *words: str) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    code = main(["dashboard", *words])
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and len(said.err) <= 240
    return code, said.err


def test_a_folder_that_is_not_there(capsys, results: Path) -> None:
    code, said = refused(capsys)
    assert code == 4 and f"{results}: no such folder" in said and "--results DIR" in said


def test_a_port_that_is_taken(capsys, results: Path) -> None:
    results.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = refused(capsys, "--port", str(port))
    assert code == 6 and f"port {port} is taken" in said and "--port 0" in said


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none(capsys, results: Path, port: str) -> None:
    results.mkdir()
    code, said = refused(capsys, f"--port={port}")
    assert code == 2 and port in said


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "jinja2"])
def test_without_the_extra_it_says_what_to_type(capsys, results: Path, monkeypatch, missing: str) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    results.mkdir()
    code, said = refused(capsys)
    assert code == 6 and f"needs {missing}" in said and "pip install 'bnlab[dashboard]'" in said


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_without_torch_and_ends_when_told_to(results: Path, stop: signal.Signals) -> None:
    results.mkdir()
    blocked = "import sys; sys.modules.update(torch=None, matplotlib=None)"
    command = f"{blocked}; from bnlab.cli import main; sys.exit(main(['dashboard', '--port', '0']))"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    server = subprocess.Popen(
        [sys.executable, "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        address = re.search(r"http://\S+", server.stdout.readline())[0]
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert "bnlab" in answer.read().decode()
        server.send_signal(stop)
        _, said = server.communicate(timeout=60)
    finally:
        server.kill()
    assert (server.returncode, said) == (0, "")  # a viewer has nothing to store, and nothing to resume
