"""Imports point one way, and the heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
FILES = sorted([*(CHECKOUT / "bnlab").rglob("*.py"), *(CHECKOUT / "experiments").glob("*.py")])

# A unit is a module or package directly under bnlab, or a module named in full. It may import units of earlier rows,
# and itself; `bnlab` alone is the version. A new unit has to be given its place here.
LAYERS = (
    ("bnlab", "errors", "paths"),
    ("assets", "ranges"),
    ("cadence", "published", "extensions", "literature"),
    ("config.norm", "config.data", "config.model", "config.optim", "config.probe"),
    ("config.procedure", "config.tracker", "config.launcher", "config.checks"),
    ("config.run",),
    ("config.forms",),
    ("config.identity", "config.reading"),
    ("config",),
    ("store", "compose", "norms", "data", "losses"),
    ("stats", "models"),
    ("claims", "probes", "trackers"),
    ("measures", "exact", "claim_report", "training", "procedures"),
    ("plots",),
    ("comparisons", "measuring"),
    ("experiment", "running", "sweeping.plan", "smoothness"),
    ("sweeping.remote",),
    ("experiments", "sweeping.forkserver", "sweeping", "verification", "pages"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANKS = {unit: rank for rank, row in enumerate(LAYERS) for unit in row}

# The two sides meet in the store: neither imports the other. The command line joins them.
WRITE_SIDE = ("norms", "data", "losses", "models", "probes", "trackers", "training", "procedures", "measuring")
WRITE_SIDE += ("running", "verification")
READ_SIDE = (
    "published",
    "stats",
    "claims",
    "measures",
    "exact",
    "comparisons",
    "claim_report",
    "plots",
    "experiment",
    "smoothness",
)
READ_SIDE += ("experiments", "pages")

# Library -> the units that may import it.
LIBRARIES = {
    "torch": (
        "norms",
        "data",
        "losses",
        "models",
        "probes",
        "training",
        "procedures",
        "measuring",
        "running",
        "sweeping.forkserver",
    ),
    "torchvision": ("data",),
    "sklearn": ("data",),
    "matplotlib": ("plots", "experiments"),
    "hydra": ("compose",),
    "omegaconf": ("compose",),
    "wandb": ("trackers.wandb_tracker",),
    "tensorboard": ("trackers.tensorboard_tracker",),
    "starlette": ("pages",),
    "uvicorn": ("pages",),
    "jinja2": ("pages",),
    "keras": ("procedures.article_code.keras_on_torch",),
    "submitit": ("sweeping.scheduler", "sweeping.slurm", "sweeping.slurm_job"),
}

# Loaded by nothing that `bnlab --help`, `list` and `status` touch.
SLOW = ("torch", "torchvision", "pandas", "matplotlib", "scipy", "sklearn", "wandb", "starlette", "uvicorn", "jinja2")


@dataclass(frozen=True)
class Import:
    """One imported name; `deferred` where it stands in a function, `typing_only` under `if TYPE_CHECKING`."""

    file: Path
    line: int
    target: str
    deferred: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(CHECKOUT)}:{self.line}: imports {self.target}"


def module_of(file: Path) -> str:
    parts = file.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module: str) -> str:
    """`bnlab.store.runs` -> `store`, `experiments.ics_vgg` -> `experiments`, `bnlab.sweeping.plan` -> itself, cut."""
    parts = module.split(".")
    if parts[0] == "experiments" or parts == ["bnlab"]:
        return parts[0]
    return ".".join(parts[1:3]) if ".".join(parts[1:3]) in RANKS else parts[1]


def imports_of(file: Path) -> Iterator[Import]:
    yield from _walk(ast.parse(file.read_text()), file, False, False)


def _walk(node: ast.AST, file: Path, deferred: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for target in _targets(child, file):
            yield Import(file, child.lineno, target, deferred, typing_only)
        in_function = deferred or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        guarded = typing_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        yield from _walk(child, file, in_function, guarded)


def _targets(node: ast.AST, file: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        raise AssertionError(f"{file.relative_to(CHECKOUT)}:{node.lineno}: write the import in full, not relative")
    if node.module == "__future__":
        return []
    return [_submodule(node.module, alias.name) for alias in node.names]


def _submodule(module: str, name: str) -> str:
    """`from bnlab.store import runs` imports that module, `from bnlab.store import Runs` only `bnlab.store`."""
    path = CHECKOUT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.is_dir() or path.with_suffix(".py").is_file() else module


ALL = [found for file in FILES for found in imports_of(file)]


def test_every_module_has_its_place() -> None:
    homeless = sorted({module_of(file) for file in FILES if unit_of(module_of(file)) not in RANKS})
    assert not homeless, f"give these a row in LAYERS of {Path(__file__).name}: {homeless}"


def test_imports_point_one_way() -> None:
    wrong = []
    for found in ALL:
        if found.target.split(".")[0] not in ("bnlab", "experiments"):
            continue
        here, there = unit_of(module_of(found.file)), unit_of(found.target)
        if here != there and RANKS[there] >= RANKS[here]:
            wrong.append(f"{found}, which is not below {here}")
    assert not wrong, "\n".join(wrong)


def test_the_two_sides_meet_only_in_the_store() -> None:
    pairs = [(unit_of(module_of(found.file)), unit_of(found.target), found) for found in ALL if "bnlab" in found.target]
    wrong = [
        f"{found}: {here} is on the other side"
        for here, there, found in pairs
        if (here in WRITE_SIDE and there in READ_SIDE) or (here in READ_SIDE and there in WRITE_SIDE)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    wrong = []
    for found in ALL:
        if found.target.split(".")[0] != library or found.typing_only:
            continue
        module = module_of(found.file)
        if not {unit_of(module), module.removeprefix("bnlab.")} & set(LIBRARIES[library]):
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_wandb_is_imported_only_when_a_sink_is_opened() -> None:
    wrong = [str(f) for f in ALL if f.target.split(".")[0] == "wandb" and not f.deferred and not f.typing_only]
    assert not wrong, "\n".join(wrong)


def test_everything_off_the_write_side_imports_with_torch_blocked(no_torch) -> None:
    away = (*WRITE_SIDE, "sweeping.forkserver", "__main__")
    modules = sorted({module_of(file) for file in FILES if unit_of(module_of(file)) not in away})
    assert "bnlab.sweeping.plan" in modules and "bnlab.store.runs" in modules
    done = no_torch("import importlib\n" + "\n".join(f"importlib.import_module({module!r})" for module in modules))
    assert done.returncode == 0, done.stderr


def test_the_tracker_package_never_loads_torch_or_wandb(isolated) -> None:
    done = isolated("import bnlab.trackers, bnlab.trackers.mirror", block=("torch", "wandb", "pandas", "scipy"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", ["--help", "list", "list --json", "status", "status --json"])
def test_quick_commands_load_nothing_slow(isolated, results: Path, words: str) -> None:
    results.mkdir()
    code = (
        f"sys.argv = ['bnlab', *{words.split()!r}]\n"
        "try:\n    runpy.run_module('bnlab', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('slow:', sorted(set({SLOW!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = isolated(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "slow: []"


def test_the_checks_above_see_a_wrong_import(tmp_path: Path) -> None:
    """The walk tells a plain import from a deferred one and from one for type checkers."""
    file = tmp_path / "example.py"
    file.write_text(
        "import torch\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas as pd\n"
        "def f():\n    from matplotlib import pyplot\n"
    )
    found = [(i.line, i.target, i.deferred, i.typing_only) for i in imports_of(file)]
    assert found == [
        (1, "torch", False, False),
        (2, "typing", False, False),
        (4, "pandas", False, True),
        (6, "matplotlib", True, False),
    ]
    assert unit_of("bnlab.store.runs") == "store" and unit_of("bnlab.sweeping.plan") == "sweeping.plan"
