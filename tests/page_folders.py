"""Results folders made for the tests of the pages: runs in every state, hostile names, damaged files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from bnlab import paths
from bnlab.config import RunConfig, to_dict
from bnlab.store import Status, write_status
from bnlab.store.records import to_line, write_columns

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)<!--",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "=HYPERLINK(1)",
    "\x1b]0;x\x07\u202egnp.exe",
    "&lt;b&gt;\u2028</script>",
    "..",
)


def put_run(
    root: Path,
    experiment: str = "ics_vgg",
    setting: str = "digits-laptop",
    variant: str = "bn",
    run_id: str = "0badcafe-s0",
    overrides: dict | None = None,
    records: list[tuple[int, dict]] = (),
    **status: object,
) -> Path:
    """A run directory with these records; a finished one has its columns."""
    run = paths.run_dir(paths.setting_dir(root, experiment, *setting.rsplit("-", 1)), variant, run_id)
    run.mkdir(parents=True)
    seed = int(run_id.rpartition("-s")[2])
    config = to_dict(dataclasses.replace(RunConfig(), seed=seed)) | {"experiment": experiment, "variant": variant}
    paths.config_json(run).write_text(json.dumps({"id": run_id, "overrides": overrides or {}, "config": config}))
    said = {"state": "done", "step": 100, "steps": 100, "seconds": 5.0} | status
    write_status(run, Status(**said))
    paths.metrics_jsonl(run).write_text("".join(to_line(step, values) for step, values in records))
    if said["state"] in ("done", "diverged"):
        rows = [json.loads(line) for line in paths.metrics_jsonl(run).read_text().splitlines()]
        write_columns(rows, paths.metrics_parquet(run), paths.distributions_parquet(run))
    return run


def rising(steps: int = 100, every: int = 10, to: float = 0.9) -> list[tuple[int, dict]]:
    """Records of an accuracy that rises in a line."""
    return [
        (s, {"curves/train_accuracy": to * s / steps, "curves/train_loss": 2.0 - s / steps})
        for s in range(0, steps + 1, every)
    ]


def put_verdict(root: Path, experiment: str, setting: str, **changes: object) -> dict:
    """`claims.json` of a setting with one row."""
    folder = paths.setting_dir(root, experiment, *setting.rsplit("-", 1))
    folder.mkdir(parents=True, exist_ok=True)
    data, _, scale = setting.rpartition("-")
    row = {"id": "S3-15", "says": "It speeds up training.", "kind": "S", "source": "article S3", "verdict": "supported"}
    row |= {"effect": 4.5, "unit": "percentage points", "interval": [3.5, 5.5], "n": 3, "planned": 3, "margin": 1.0}
    row |= {"published": None, "p": 0.01, "note": "", "experiment": experiment, "data": data, "scale": scale}
    row |= {"from": "runs", "tests": "", "figure": "accuracy", "label": "", "parts": [], "beside": []} | changes
    paths.claims_json(folder).write_text(json.dumps([row]))
    return row


def put_figure(root: Path, experiment: str, setting: str, name: str = "accuracy") -> None:
    folder = paths.figures_dir(paths.setting_dir(root, experiment, *setting.rsplit("-", 1)))
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "png": b"\x89PNG\r\n",
        "pdf": b"%PDF-",
        "csv": b"a\n1\n",
    }
    for ending, content in contents.items():
        (folder / f"{name}.{ending}").write_bytes(content)
