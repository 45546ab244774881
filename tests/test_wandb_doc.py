"""The sweep in docs/wandb.md: the command line that wandb's own code makes of it is one that bnlab runs."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml

from bnlab.cli import main
from bnlab.sweeping.plan import make_plan

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "wandb.md").read_text()
SWEEP = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE).group(1))
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^bnlab .*$", PAGE, re.MULTILINE)]


def command_lines() -> list[list[str]]:
    """As `wandb agent` builds them, for every point of the grid."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    names, values = zip(*((name, said["values"]) for name, said in SWEEP["parameters"].items()))
    lines = []
    for point in itertools.product(*values):
        arguments = create_sweep_command_args({"args": {name: {"value": v} for name, v in zip(names, point)}})
        arguments |= {"env": ["/usr/bin/env"]}
        chunks = [str(chunk) for chunk in create_sweep_command(list(SWEEP["command"]))]
        filled = [arguments[c[2:-1]] if c.startswith("${") and c.endswith("}") else [c] for c in chunks]
        lines.append(list(itertools.chain(*filled)))
    return lines


def bnlab_words(line: list[str]) -> list[str]:
    return line[line.index("bnlab") + 1 :]


def test_each_point_of_the_sweep_is_one_run_of_its_own():
    made = []
    for line in command_lines():
        assert line[:3] == ["/usr/bin/env", "bnlab", "run"]
        words = [word for word in bnlab_words(line)[2:] if "=" in word]
        (planned,) = make_plan("ics_vgg", words).runs
        made.append((planned.config.variant, planned.config.lr, planned.config.seed))
        assert planned.config.tracker == "wandb"
    assert len(set(made)) == len(made) == 12


def test_an_agent_gets_one_run(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    assert main(["run", "ics_vgg", "variant=bn", "tracker=wandb", "--dry-run"]) == 2
    assert "WANDB_SWEEP_ID is set" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_read(command, capsys, results):
    words = shlex.split(command)[1:]
    code = main([*words, "--dry-run"] if words[0] == "run" else words)
    assert code == (0 if words[0] == "run" else 4)  # nothing is stored here to be sent


@pytest.mark.wandb
def test_a_run_that_an_agent_starts_is_the_run_it_waits_for(monkeypatch, tmp_path, capsys):
    """At the smallest scale, against a stand-in of the service; the same point again sends nothing twice."""
    import subprocess
    import sys

    from wandb_service import KEY, serving

    words = bnlab_words(command_lines()[-1])
    words[words.index("scale=laptop")] = "scale=smoke"
    words[words.index("sweep-results")] = str(tmp_path / "sweep-results")
    with serving() as service:
        agent = {
            "WANDB_SWEEP_ID": "sweep1",
            "WANDB_RUN_ID": "agentsrun",
            "WANDB_PROJECT": "bnlab",
            "WANDB_API_KEY": KEY,
        }
        for name, value in {**agent, "WANDB_BASE_URL": service.address}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("WANDB_MODE")
        for _ in range(2):
            done = subprocess.run([sys.executable, "-m", "bnlab", *words], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
        assert set(service.rows) == {"agentsrun"} and service.made["agentsrun"]["sweep"] == "sweep1"
        steps = [row["_step"] for row in service.rows["agentsrun"]]
        assert steps == sorted(set(steps)) and steps[-1] == 12
        assert any(SWEEP["metric"]["name"] in row for row in service.rows["agentsrun"])
