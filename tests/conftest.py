"""What every test starts from: one thread, a results folder of its own, no tracker that reaches a network."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# Before anything imports torch: with more threads than cores the suite takes several times as long, and the number
# of threads changes bits. Child processes inherit it.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

_BLOCK = """
import importlib.abc, runpy, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ImportError(f"{{name}} is blocked in this test")
sys.meta_path.insert(0, Blocked())
"""


GROUPS = ("real_data", "shipped", "thorough", "ray", "slurm", "keras", "wandb", "browser", "kill_storm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the groups of each test into the JUnit report, where `.ci/check_groups.py` looks for them."""
    for item in items:
        item.user_properties += [("group", group) for group in GROUPS if item.get_closest_marker(group)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Importing Keras to see whether it is there would fix its backend."""
    if item.get_closest_marker("keras") and importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed")


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results folder of this test; commands and child processes write there unless told otherwise."""
    folder = tmp_path / "results"
    monkeypatch.setenv("BNLAB_RESULTS", str(folder))
    monkeypatch.setenv("WANDB_MODE", "offline")
    return folder


@pytest.fixture
def isolated() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python code in a fresh process from the checkout: `isolated(code, block=("torch",), env={...})`.

    Importing a blocked package, or a module of it, raises ImportError there.
    """
    return _isolated


@pytest.fixture
def no_torch() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python code, or with a list the `bnlab` command, in a fresh process in which torch cannot be imported."""

    def run(code: str | list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        if isinstance(code, list):
            code = f"sys.argv = ['bnlab', *{code!r}]\nrunpy.run_module('bnlab', run_name='__main__', alter_sys=True)"
        return _isolated(code, block=("torch", "torchvision"), env=env)

    return run


def _isolated(
    code: str, block: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _BLOCK.format(names=set(block)) + code],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, **(env or {})},
        timeout=120,
    )
