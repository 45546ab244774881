"""What docs/extending.md says works, word for word, in a folder outside the package."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bnlab.errors import IntegrityError
from bnlab.store.directories import read_config

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


@pytest.fixture(scope="module")
def results(folder, tmp_path_factory):
    """What the commands of the page leave: the sweeps at the same time, then claims and figures.

    Runs are trained in children of the fork server, which have to find the extensions too.
    """
    made = tmp_path_factory.mktemp("results")
    sweeps = [command for command in COMMANDS if command.startswith("run ")]
    with ThreadPoolExecutor() as pool:
        for commands in (sweeps, [command for command in COMMANDS if command not in sweeps]):
            for done in pool.map(lambda command: bnlab(folder, made, *command.split()), commands):
                assert done.returncode == 0, done.stderr
    return made


def configs(setting, variant):
    files = setting.glob(f"runs/{variant}/*/config.json")
    return {file.parent: json.loads(file.read_text())["config"] for file in files}


def test_the_page_gives_every_file_and_command():
    assert set(FILES) == {
        *("variant/bn_loose.yaml", "experiment/loose_eps.yaml", "experiments/loose_eps.py", "config.py"),
        *("norms/rms.py", "variant/rms.yaml", "models/tapered.py", "model/tapered.yaml", "probes/gradients.py"),
    }
    assert [command.split()[0] for command in COMMANDS] == ["run", "claims", "figures", "run", "run", "run"]


def test_arms_experiments_claims_and_figures_of_ones_own_work(results):
    setting = results / "loose_eps" / "digits-smoke"
    (row,) = json.loads((setting / "claims.json").read_text())
    assert (row["id"], row["n"], row["planned"]) == ("X1-01", 2, 2)
    assert (setting / "figures" / "accuracy.pdf").stat().st_size > 1_000
    loose = [c for c in configs(setting, "bn_loose").values() if c["model"]["name"] == "mlp"]
    assert [config["norm"]["eps"] for config in loose] == [0.01, 0.01]


def test_a_normaliser_of_ones_own_trains_in_shipped_experiments(results):
    """On dense layers and, in ics_vgg, on convolutions; its key is swept and reaches the layer."""
    placement = configs(results / "placement" / "digits-smoke", "rms")
    assert sorted(config["norm"]["rms"]["share"] for config in placement.values()) == [0.5, 0.5, 1.0, 1.0]
    assert len({(run / "metrics.jsonl").read_text() for run in placement}) == 4
    vgg = configs(results / "ics_vgg" / "digits-smoke", "rms")
    assert [json.loads((run / "status.json").read_text())["state"] for run in vgg] == ["done"]


def test_a_model_of_ones_own_trains_under_a_probe_of_ones_own_that_changes_nothing(results):
    runs = configs(results / "loose_eps" / "digits-smoke", "bn")
    made = {len(c["probe"]["names"]): run for run, c in runs.items() if c["model"]["name"] == "tapered"}
    digests = [(run / "digests.jsonl").read_text() for run in made.values()]
    assert len(digests) == 2 and digests[0] == digests[1]
    assert "blocks.2.linear.weight" in digests[0] and "blocks.3" not in digests[0]
    rows = [json.loads(line) for line in (made[2] / "metrics.jsonl").read_text().splitlines()]
    measured = [set(row["values"]) for row in rows if any(name.startswith("gradients/") for name in row["values"])]
    assert len(measured) == 2 and all({f"gradients/length/0{i}" for i in (1, 2, 3)} <= names for names in measured)
    assert "gradients" not in (made[1] / "metrics.jsonl").read_text()
    assert "gradients" not in json.loads((made[1] / "config.json").read_text())["config"]["probe"]


def test_reading_such_runs_without_the_folder_says_what_is_missing(results, monkeypatch):
    monkeypatch.delenv("BNLAB_EXTENSIONS", raising=False)
    for run in configs(results / "placement" / "digits-smoke", "rms"):
        with pytest.raises(IntegrityError, match="no such .*; set BNLAB_EXTENSIONS"):
            read_config(run)


ASKED = """
import sys
sys.modules["torch"] = None
from bnlab.compose import build, parse_axes
from bnlab.config import RunConfig, flatten, from_dict, hidden_layers, run_id, to_dict
from bnlab.errors import BadInput
def said(words):
    try:
        axes = {axis.key: axis.values[0] for axis in parse_axes(words.split()) if axis.key not in ("variant", "model")}
        groups = {key: value for key, value in (w.split("=") for w in words.split()) if key in ("variant", "model")}
        return run_id(build({"variant": "plain", "model": "mlp"} | groups, axes))
    except BadInput as error:
        return str(error)
for words in sys.argv[1:]:
    print(said(words))
print(run_id(RunConfig()), "norm.rms.share" in flatten(RunConfig()), "rms" in to_dict(RunConfig())["norm"])
print(hidden_layers(build({"model": "tapered"}, {"model.tapered.blocks": 2}).model))
"""


def test_keys_of_ones_own_are_checked_and_identify_runs_like_any_other(folder):
    words = ["variant=rms", "variant=rms norm.rms.share=1.0", "variant=rms norm.rms.share=0.5", "variant=plain"]
    words += ["norm.rms.share=0", "norm.rms.share=half", "norm.rms.shares=1", "model=tapered model.tapered.first=2"]
    words += ["probe.gradients.cadence=often", "norm.name=rsm", "probe.names=[gradient]"]
    given = os.environ | {"BNLAB_EXTENSIONS": str(folder), "PYTHONPATH": str(ROOT)}
    asked = [sys.executable, "-c", ASKED, *words]
    done = subprocess.run(asked, env=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    first, same, other, plain, *refused, default, blocks = done.stdout.splitlines()
    assert first == same and len({first, other, plain}) == 3 and plain == default.split()[0] == "44136fa3-s0"
    assert (default.split()[1:], blocks) == (["True", "False"], "2")
    starts = ("norm.rms.share=0.0: must be a finite number above 0", "norm.rms.share=half: must be a number")
    starts += ("norm.rms.shares: no such key, did you mean 'norm.rms.share'?", "model.tapered.first=2: must be")
    starts += ("probe.gradients.cadence=often: not a cadence", "norm.name=rsm: no such choice, did you mean 'rms'?")
    starts += ("probe.names=gradient: no such choice, did you mean 'gradients'?",)
    assert all(line.startswith(start) for line, start in zip(refused, starts, strict=True)), refused


FROZEN = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Mine:\n    {}\n"
MISTAKES = {
    "syntax": ("config.py", "NORMS = {", "config.py: line 1: SyntaxError"),
    "name": ("config.py", "x = 1\nNORMS = {'rms': Rms}", "config.py: line 2: NameError: name 'Rms' is not defined"),
    "torch": ("config.py", "import torch\n", "imports torch, which planning does without"),
    "taken": ("config.py", FROZEN.format("a: int = 1") + "NORMS = {'batch': Mine}", "bnlab has batch already"),
    "field": ("config.py", FROZEN.format("a: int = 1") + "NORMS = {'eps': Mine}", "bnlab has eps already"),
    "type": ("config.py", FROZEN.format("a: dict = None") + "NORMS = {'rms': Mine}", "field a: its type must be"),
    "default": ("config.py", FROZEN.format("a: int") + "NORMS = {'rms': Mine}", "missing 1 required positional"),
    "frozen": ("config.py", "NORMS = {'rms': int}", "must be a class with @dataclass(frozen=True)"),
    "listed": ("config.py", "NORMS = ['rms']", "NORMS must be a dictionary"),
    "absent": ("config.py", FROZEN.format("a: int = 1") + "MODELS = {'mine': Mine}", "models/mine.py: no such file"),
    "code": ("norms/rms.py", "def make(:", "norms/rms.py: line 1: SyntaxError"),
    "make": ("norms/rms.py", "def build(): return make", "norms/rms.py: does not define make"),
    "file": ("norms/batch.py", "def make(): ...", "norms/batch.py: bnlab has batch already"),
    "probe": ("config.py", FROZEN.format("a: int = 1") + "PROBES = {'curves': Mine}", "bnlab has curves already"),
    "model": ("config.py", FROZEN.format("a: int = 1") + "MODELS = {'mlp': Mine}", "bnlab has mlp already"),
    "arm": ("variant/bn.yaml", "variant: bn", "bn.yaml: bnlab has variant=bn already"),
    "claims": ("experiments/ics_vgg.py", "CLAIMS = ()", "bnlab has experiment=ics_vgg already"),
    "raises": (
        "config.py",
        FROZEN.format("a: int = 1\n    def __post_init__(self): raise ValueError('odd')") + "NORMS = {'rms': Mine}",
        "config.py: line 5: ValueError: odd",
    ),
}
MAKE = "def make(config, units, spatial, generator): ..."
BESIDE = {"norms/rms.py": MAKE}
BESIDE["config.py"] = FROZEN.format("a: int = 1") + "NORMS = {'rms': Mine}"
REFUSED = """
import importlib, os, sys
from bnlab.cli import main
for folder in sys.argv[1:]:
    for name in [name for name in sys.modules if name.startswith("bnlab.") and name not in KEPT]:
        del sys.modules[name]
    sys.modules.pop("torch", None)
    os.environ["BNLAB_EXTENSIONS"] = folder
    print(main(["status"]), flush=True)
""".replace(
    "KEPT", "('bnlab.cli', 'bnlab.errors', 'bnlab.paths', 'bnlab.commands', 'bnlab.commands.words', 'bnlab.ranges')"
)


def test_a_file_that_cannot_be_used_is_one_line_that_says_what_to_mend(tmp_path):
    """`torch` is an empty module here, so that a config.py that imports it costs no seconds."""
    for mistake, (name, content, _) in MISTAKES.items():
        for file, written in (BESIDE | {name: content}).items():
            (tmp_path / mistake / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / mistake / file).write_text(written)
    (tmp_path / "torch.py").touch()
    given = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    asked = [sys.executable, "-c", REFUSED, *(str(tmp_path / mistake) for mistake in MISTAKES)]
    done = subprocess.run(asked, env=given, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["2"] * len(MISTAKES), done.stdout + done.stderr
    lines = done.stderr.splitlines()
    for line, (mistake, (_, _, expected)) in zip(lines, MISTAKES.items(), strict=True):
        assert expected in line and str(tmp_path / mistake) in line and len(line) <= 240, line


OWN_CHECK = FROZEN.format("share: float = 1.0\n    def __post_init__(self):\n        if self.share > 1: ACT")
OWN_CHECK += "NORMS = {'rms': Mine}"


@pytest.mark.parametrize(
    ("act", "said"), [("raise ValueError('at most 1')", "at most 1"), ("self.shares", "no attribute 'shares'")]
)
def test_a_value_that_a_class_of_ones_own_refuses_is_one_line(act, said, tmp_path):
    (tmp_path / "norms").mkdir()
    (tmp_path / "norms" / "rms.py").write_text(MAKE)
    (tmp_path / "config.py").write_text(OWN_CHECK.replace("ACT", act))
    words = ("run", "ics_vgg", "scale=smoke", "norm.rms.share=1.5", "--dry-run")
    done = bnlab(tmp_path, tmp_path / "results", *words, blocked="sys.modules['torch'] = None; ")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("bnlab: norm.rms.share=1.5: ") and said in line
    assert str(tmp_path / "config.py") in line and len(line) <= 241 and not (tmp_path / "results").exists()


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
