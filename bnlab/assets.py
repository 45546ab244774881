"""Where the configurations and the experiments lie: in the checkout, or inside an installed package."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def configs_dir() -> Path:
    return _folder("configs", "_configs")


def experiments_dir() -> Path:
    return _folder("experiments", "_experiments")


def _folder(in_checkout: str, in_package: str) -> Path:
    """The checkout's folder where the package lies in one (pyproject.toml beside it), else the package's copy."""
    checkout = PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / in_checkout).is_dir():
        return checkout / in_checkout
    packed = PACKAGE / in_package
    return packed if packed.is_dir() else checkout / in_checkout
