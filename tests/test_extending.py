"""What docs/extending.md says works, word for word, in a folder outside the package."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"^`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^BNLAB_EXTENSIONS=DIR bnlab (.+)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("my extensions")
    for name, content in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(content)
    return made


def bnlab(folder, results, *words, blocked=""):
    code = f"import sys; {blocked}from bnlab.cli import main; sys.exit(main(sys.argv[1:]))"
    given = os.environ | {"BNLAB_EXTENSIONS": str(folder), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code, *words, "--results", str(results)]
    return subprocess.run(words, env=given, capture_output=True, text=True, timeout=300)


def test_the_page_gives_every_file_and_command():
    assert set(FILES) == {"variant/bn_loose.yaml", "experiment/loose_eps.yaml", "experiments/loose_eps.py"}
    assert [command.split()[0] for command in COMMANDS] == ["run", "claims", "figures"]


def test_every_command_of_the_page_runs(folder, tmp_path):
    """Runs are trained in children of the fork server, which have to find the extension too."""
    for command in COMMANDS:
        done = bnlab(folder, tmp_path, *command.split())
        assert done.returncode == 0, done.stderr
    setting = tmp_path / "loose_eps" / "digits-smoke"
    (row,) = json.loads((setting / "claims.json").read_text())
    assert (row["id"], row["n"], row["planned"]) == ("X1-01", 2, 2)
    assert (setting / "figures" / "accuracy.pdf").stat().st_size > 1_000
    configs = [json.loads(path.read_text()) for path in setting.glob("runs/bn_loose/*/config.json")]
    assert [config["config"]["norm"]["eps"] for config in configs] == [0.01, 0.01]


def test_its_values_are_part_of_the_id_and_planning_needs_no_torch(folder, tmp_path):
    words = ("run", "loose_eps", "scale=smoke", "--dry-run")
    blocked = "sys.modules['torch'] = None; "
    first = bnlab(folder, tmp_path, *words, blocked=blocked)
    assert first.returncode == 0, first.stderr
    file = folder / "variant" / "bn_loose.yaml"
    file.write_text(FILES["variant/bn_loose.yaml"].replace("0.01", "0.02"))
    second = bnlab(folder, tmp_path, *words, blocked=blocked)
    file.write_text(FILES["variant/bn_loose.yaml"])
    ids = [set(re.findall(r"[0-9a-f]{8}-s\d", done.stdout)) for done in (first, second)]
    assert len(ids[0]) == len(ids[1]) == 4 and len(ids[0] & ids[1]) == 2


def test_a_name_that_is_taken_is_one_line(folder, tmp_path):
    taken = folder / "variant" / "bn.yaml"
    taken.write_text(FILES["variant/bn_loose.yaml"])
    done = bnlab(folder, tmp_path, "run", "loose_eps", "scale=smoke", "--dry-run")
    taken.unlink()
    assert done.returncode == 2 and "give the extension another name" in done.stderr


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    done = bnlab(tmp_path / "none", tmp_path, "run", "loose_eps", "--dry-run")
    assert done.returncode == 2 and "no such folder" in done.stderr
