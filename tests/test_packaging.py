"""What is installed, from what, and with which words on the way."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
PINS = [line for line in (CHECKOUT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


def test_a_wheel_puts_only_bnlab_into_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} - {"bnlab"} == {f"{wheel.name.split('-py3')[0]}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or "/runs/" in name]


def test_a_wheel_carries_configurations_experiments_and_package_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    endings = (".py", ".yaml", ".csv", ".html", ".js", ".css", ".txt")
    for old, new in {"configs": "bnlab/_configs", "experiments": "bnlab/_experiments", "bnlab": "bnlab"}.items():
        files = [path for path in (CHECKOUT / old).rglob("*") if path.suffix in endings]
        assert files
        assert [path for path in files if f"{new}/{path.relative_to(CHECKOUT / old).as_posix()}" not in names] == []


def test_an_installed_bnlab_finds_its_own_configurations(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "from bnlab.assets import configs_dir, experiments_dir; print(configs_dir()); print(experiments_dir())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    folders = [Path(line) for line in done.stdout.splitlines()]
    assert folders == [tmp_path / "site/bnlab/_configs", tmp_path / "site/bnlab/_experiments"], done.stderr
    assert (folders[0] / "base.yaml").is_file()


def test_every_pin_is_exact_and_without_a_local_label() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin)] == []
    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(PINS)
    assert PROJECT["build-system"]["requires"] == [pin for pin in PINS if pin.startswith("hatchling==")]


def test_the_pins_cover_everything_that_is_installed() -> None:
    """The closure of the core, of `dev`, `dashboard` and the build, as this environment resolved it."""
    pinned = {canonicalize_name(pin.split("==")[0]) for pin in PINS}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["dev"], *extras["dashboard"]]
    waiting, reached = [canonicalize_name(Requirement(text).name) for text in wanted], set()
    while waiting:
        name = waiting.pop()
        if name in reached or name.startswith(("nvidia-", "cuda-", "triton")):
            continue  # torch names the exact versions of these itself
        reached.add(name)
        for requirement in map(Requirement, importlib.metadata.requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    assert reached - pinned == set()


def test_the_groups_of_tests_have_the_same_names_everywhere() -> None:
    from conftest import GROUPS

    registered = {line.split(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    in_makefile = re.search(r"^GROUPS := (.*)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert registered == set(GROUPS) == set(in_makefile[1].split(" or "))


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_says_in_one_line_that_there_is_no_python(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, tmp_path)
    done = subprocess.run(
        ["make", "--silent", "setup", "PYTHONS=no-such-python"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHON"},
        capture_output=True,
        text=True,
    )
    complaint = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and len(complaint) == 1 and "3.11" in complaint[0]
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("skipped, code", [((False, True), 0), ((True, True), 1)], ids=["in part", "as a whole"])
def test_a_group_skipped_as_a_whole_fails(tmp_path: Path, skipped: tuple[bool, bool], code: int) -> None:
    cases = "".join(
        f'<testcase name="t{number}"><properties><property name="group" value="ray"/></properties>'
        f"{'<skipped/>' if skip else ''}</testcase>"
        for number, skip in enumerate(skipped)
    )
    report = tmp_path / "groups.xml"
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    command = [sys.executable, str(CHECKOUT / ".ci" / "check_groups.py"), str(report)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert ("wholly skipped: ray" in done.stderr) == bool(code)
