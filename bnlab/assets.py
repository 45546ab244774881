"""Where the configurations and the experiments lie: in the checkout, or inside an installed package.

BNLAB_EXTENSIONS names one more folder, with `experiment/*.yaml`, the `experiments/*.py` that belong to them,
`variant/*.yaml` and `model/*.yaml`. Python there runs as any program of one's own does; a YAML file still chooses among
names only. What a run itself is made of is found there by `bnlab.extensions`.
"""

from __future__ import annotations

import os
from pathlib import Path

from bnlab.errors import BadInput

EXTENSIONS = "BNLAB_EXTENSIONS"
PACKAGE = Path(__file__).resolve().parent


def configs_dir() -> Path:
    return _folder("configs", "_configs")


def experiments_dir() -> Path:
    return _folder("experiments", "_experiments")


def extensions_dir() -> Path | None:
    """Errors: BadInput where BNLAB_EXTENSIONS is no folder."""
    named = os.environ.get(EXTENSIONS)
    if not named:
        return None
    if not Path(named).is_dir():
        raise BadInput(f"{EXTENSIONS}={named}: no such folder; make it, or unset the variable")
    return Path(named).resolve()


def config_files(group: str) -> dict[str, Path]:
    """The YAML files of a group by name, bnlab's own and the extensions'. Errors: BadInput where both have a name."""
    files = {path.stem: path for path in (configs_dir() / group).glob("*.yaml")}
    added = extensions_dir()
    for path in sorted((added / group).glob("*.yaml")) if added else ():
        if path.stem in files:
            raise BadInput(f"{path}: bnlab has {group}={path.stem} already; give the extension another name")
        files[path.stem] = path
    return dict(sorted(files.items()))


def experiment_file(name: str) -> Path:
    """The Python file of an experiment, beside whichever YAML names it."""
    added = extensions_dir()
    beside = added / "experiments" / f"{name}.py" if added else None
    return beside if beside and beside.is_file() else experiments_dir() / f"{name}.py"


def _folder(in_checkout: str, in_package: str) -> Path:
    """The checkout's folder where the package lies in one (pyproject.toml beside it), else the package's copy."""
    checkout = PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / in_checkout).is_dir():
        return checkout / in_checkout
    packed = PACKAGE / in_package
    return packed if packed.is_dir() else checkout / in_checkout
