"""`bnlab doctor`: what bnlab stands on here, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bnlab import __version__, paths
from bnlab.commands.tables import table
from bnlab.commands.words import add_results
from bnlab.errors import EnvironmentFault

REQUIRED = (
    *("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "PyYAML", "rich"),
    *("wandb", "pandas", "pyarrow", "matplotlib", "scipy", "scikit-learn"),
)
EXTRAS = {
    "ray": "ray",
    "submitit": "slurm",
    "keras": "keras",
    "tensorboard": "tensorboard",
    "starlette": "dashboard",
    "pytest": "dev",
}


@dataclass(frozen=True)
class Finding:
    """`mend` is the command that helps, empty where all is well; `needed` where bnlab cannot work without it."""

    what: str
    found: str
    mend: str = ""
    needed: bool = False


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.set_defaults(act=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Exit code 0 where bnlab can train, 6 where something that it needs is missing."""
    found = [*_machine(), *_packages(), *_torch(), *_data(), _results(paths.results_root(arguments.results))]
    print(table(("what", "found", "what mends it"), [(f.what, f.found, f.mend) for f in found]))
    broken = [f.what for f in found if f.needed and f.mend]
    optional = sum(bool(f.mend) for f in found) - len(broken)
    if broken:
        print(f"\nbnlab cannot train here: {', '.join(broken)}")
        return EnvironmentFault.code
    print(f"\nbnlab can train here; {optional} optional things are not there" if optional else "\nall is well")
    return 0


def _machine() -> Iterator[Finding]:
    from bnlab.sweeping.local import cores

    yield Finding("bnlab", f"{__version__} in {Path(__file__).resolve().parents[1]}")
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("cores", f"{cores()}: so many runs at a time, with one thread each")


def _packages() -> Iterator[Finding]:
    for name in REQUIRED:
        version = _version(name)
        yield Finding(name, version or "missing", "" if version else f"pip install {name}", needed=True)
    for name, extra in EXTRAS.items():
        version = _version(name)
        yield Finding(name, version or "absent (optional)", "" if version else f"pip install 'bnlab[{extra}]'")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _torch() -> Iterator[Finding]:
    """Whether torch and torchvision load, and the device they would use."""
    again = "pip install --force-reinstall torch torchvision"
    try:
        torch = importlib.import_module("torch")  # by name: the only command that looks at it without training
    except Exception as error:
        yield Finding("device", f"torch does not load: {_short(error)}", again, needed=True)
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    yield Finding("device", f"{device} (torch's own default: {torch.get_num_threads()} threads; bnlab sets threads=1)")
    try:
        from bnlab.data.torchvision_compat import import_torchvision

        import_torchvision()
    except Exception as error:
        yield Finding("torchvision loads", f"no: {_short(error)}", again, needed=True)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"


def _data() -> Iterator[Finding]:
    from bnlab.data import library

    for row in library.list_datasets():
        yield Finding(f"data set {row['name']}", row["state"], row["next"])


def _results(root: Path) -> Finding:
    nearest = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        return Finding("results folder", f"{root} cannot be written", "set BNLAB_RESULTS=DIR", needed=True)
    return Finding("results folder", f"{root}, {shutil.disk_usage(nearest).free / 1e9:.0f} GB free")
