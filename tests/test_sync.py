"""`bnlab sync` sends each row once, whatever came between: an outage, a kill, a run that grew, a lost ledger."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from mirrored_runs import CONFIG, directory, offline_records, offline_rows, train
from wandb_service import KEY, Service, serving

from bnlab import paths
from bnlab.cli import main
from bnlab.store import owning
from bnlab.trackers import folder_of
from bnlab.trackers.ledger import ledger_file

pytestmark = pytest.mark.wandb


@pytest.fixture
def run(results: Path) -> Path:
    return directory(results)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    with serving() as standing_in:
        monkeypatch.setenv("WANDB_BASE_URL", standing_in.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_MODE", "online")
        yield standing_in


def steps(rows: list[dict]) -> list[int]:
    return [row["_step"] for row in rows]


def test_an_offline_sync_holds_every_row_once(run, capsys):
    train(run, range(25), state="interrupted")
    assert main(["sync", "ics_vgg"]) == 0
    assert "25 rows" in capsys.readouterr().out
    assert main(["sync", "ics_vgg"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    train(run, range(20, 40), resume_at=20)
    assert main(["sync"]) == 0
    assert "15 rows" in capsys.readouterr().out
    rows = offline_rows(folder_of("wandb", run))
    assert steps(rows) == list(range(40))
    assert rows[30]["curves/train_loss"] == pytest.approx(1.7)


def test_a_service_gets_every_row_once_and_knows_the_run(run, service, capsys):
    train(run, range(25), state="interrupted")
    assert main(["sync"]) == 0
    asked = service.requests
    assert main(["sync"]) == 0
    assert "nothing to do" in capsys.readouterr().out and service.requests == asked
    train(run, range(20, 40), resume_at=20)
    assert main(["sync"]) == 0
    ((key, rows),) = service.rows.items()
    assert steps(rows) == list(range(40))
    assert rows[30]["activations/hist_output/01"]["values"][2] == 1
    made = service.made[key]
    assert (made["groupName"], made["jobType"]) == ("ics_vgg", "bn")
    assert set(made["tags"]) == {"ics_vgg", "digits-smoke", "bn", "seed-3"}
    assert json.loads(made["config"])["optim"]["value"]["name"] == CONFIG.optim.name


def test_a_ledger_that_knows_too_little_doubles_nothing(run, service):
    """The service is asked what it holds: here it has rows that were sent by a mirror that died before it could say."""
    train(run, range(25))
    assert main(["sync"]) == 0
    ledger = ledger_file(folder_of("wandb", run))
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"sent": {}}))
    train(run, range(40))
    assert main(["sync"]) == 0
    ((_, rows),) = service.rows.items()
    assert steps(rows) == list(range(40))


@pytest.mark.parametrize("answer, said", [(401, ""), (403, "")], ids=["401", "403"])
def test_a_service_that_refuses_is_one_line_and_the_same_command_goes_on(run, service, capsys, answer, said):
    train(run, range(25))
    service.answer = answer
    assert main(["sync"]) == 6
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and len(error) <= 241 and "goes on from there" in error
    service.answer = "well"
    assert main(["sync"]) == 0
    assert service.total == 25


def test_a_run_without_a_key_is_one_line_that_says_what_to_type(run, service, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("WANDB_API_KEY")
    for name, folder in (("HOME", tmp_path), ("NETRC", tmp_path / "none"), ("WANDB_CONFIG_DIR", tmp_path / "config")):
        monkeypatch.setenv(name, str(folder))
    train(run, range(5))
    assert main(["sync"]) == 6
    assert "wandb login" in capsys.readouterr().err


def test_an_unpacked_run_is_sent_from_its_columns(run, capsys):
    train(run, range(25))
    paths.metrics_jsonl(run).unlink()
    assert main(["sync"]) == 0
    rows = offline_rows(folder_of("wandb", run))
    assert steps(rows) == list(range(25))
    assert rows[7]["curves/train_loss"] == pytest.approx(1.93) and rows[10]["activations/hist_output/01.values"][2] == 1


def test_a_run_at_work_is_left_alone(run, capsys):
    train(run, range(5), state="running")
    with owning(run):
        assert main(["sync"]) == 0
    assert "1 run at work" in capsys.readouterr().out
    assert not folder_of("wandb", run).exists()


def test_figures_and_verdicts_are_a_run_of_their_own(run, results, capsys):
    pytest.importorskip("PIL")
    train(run, range(5))
    setting = run.parents[2]
    claim = {key: "" for key in ("says", "kind", "source", "unit")} | {"effect": 0.5, "n": 3, "planned": 3}
    claims = [claim | {"id": "S3-15", "verdict": "supported", "interval": [0.1, 0.9]}]
    claims += [claim | {"id": "S3-19", "verdict": "undecided", "interval": None, "effect": None}]
    paths.claims_json(setting).write_text(json.dumps(claims))
    paths.figures_dir(setting).mkdir()
    shutil.copy(next(Path("results").glob("ics_vgg/*/figures/*.png")), paths.figures_dir(setting) / "curves.png")
    assert main(["sync"]) == 0
    folder = folder_of("wandb", setting)
    (row,) = offline_rows(folder)
    assert {key.split(".")[0] for key in row if not key.startswith("_")} == {"claims", "figures/curves"}
    text = json.dumps([record for record in offline_records(folder) if record["type"] == "summary"])
    assert '"verdicts/S3-15": "\\"supported\\""' in text or '"supported"' in text
    assert next(folder.rglob("media/images/figures/*.png")).read_bytes()
    capsys.readouterr()
    assert main(["sync"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    claims[1]["verdict"] = "refuted"
    paths.claims_json(setting).write_text(json.dumps(claims))
    assert main(["sync"]) == 0
    assert len(offline_rows(folder)) == 2


@pytest.mark.parametrize(
    "words, mode, code, said",
    [
        (["ics_vg"], "offline", 2, "did you mean 'ics_vgg'"),
        (["ics_vgg", "lr=1"], "offline", 2, "lr=1"),
        ([], "disabled", 2, "WANDB_MODE=disabled"),
        ([], "offline", 4, "no run of this selection"),
        (["--tracker", "neptune"], "offline", 2, "neptune"),
    ],
)
def test_a_mistake_is_one_line(words, mode, code, said, monkeypatch, capsys, results):
    monkeypatch.setenv("WANDB_MODE", mode)
    results.mkdir()
    assert main(["sync", *words]) == code
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and len(error) <= 241
    assert not list(results.iterdir())


def test_no_prompt_and_no_mode_means_online(run, monkeypatch, capsys):
    """Without WANDB_MODE the command sends: to an address where nobody listens, so that the first run says so."""
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    train(run, range(5))
    assert main(["sync"]) == 6
    assert "ics_vgg digits-smoke bn/" in capsys.readouterr().err
    assert os.environ["WANDB_MODE"] == "online"
    assert json.loads(ledger_file(folder_of("wandb", run)).read_text())["sent"] == {}
