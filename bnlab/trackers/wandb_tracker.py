"""Weights & Biases as a mirror: the only file that imports wandb, and only in the side process."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing
from pathlib import Path

import numpy as np

from bnlab.errors import EnvironmentFault
from bnlab.trackers.tracker import Sink, Verdicts, Watched

if typing.TYPE_CHECKING:
    import wandb

FAILED_STATES = ("failed", "damaged")
UNFINISHED = ".unfinished"  # where wandb writes until every row has arrived
LAST_STEP = "bnlab-last-step"  # in each finished offline folder
VERDICT_COLUMNS = ("id", "says", "kind", "source", "verdict", "effect", "unit", "interval", "n", "planned")


def wandb_mode() -> str:
    """`WANDB_MODE`; without it offline, and online where a W&B sweep agent waits for the run."""
    return os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_SWEEP_ID") else "offline")


def wandb_target() -> str:
    """`offline`, or the service's address."""
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai") if wandb_mode() == "online" else wandb_mode()


class Session:
    """One `wandb.init` to `finish`, in a folder that becomes visible when all its rows are there.

    A session that was cut short leaves nothing behind offline, and online what the service had received.
    """

    def __init__(self, folder: Path, **words: object) -> None:
        """Errors: any that wandb raises, ModuleNotFoundError where it is not installed, EnvironmentFault."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # offline means that nobody is called
        import wandb

        self._folder, self._home, self._rows = folder, folder / UNFINISHED, 0
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(parents=True)
        mode = wandb_mode()
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise EnvironmentFault("no API key; type `wandb login` or set WANDB_API_KEY")
        quiet = {"silent": True, "console": "off", "disable_git": True, "disable_code": True, "x_disable_stats": True}
        settings = wandb.Settings(**quiet, x_save_requirements=False)
        places = {key: os.environ.get(f"WANDB_{key.upper()}") for key in ("project", "entity")}
        places["project"] = places["project"] or "bnlab"
        self.run: wandb.Run = wandb.init(
            **places, **words, mode=mode, dir=self._home, resume="allow", settings=settings
        )
        self._offline = mode == "offline"
        self.next_step = 1 + _last_step(folder) if self._offline else self.run.starting_step

    def log(self, values: dict, step: int) -> None:
        self.run.log(values, step=step)
        self.next_step = step + 1
        self._rows += 1

    def close(self, exit_code: int = 0) -> None:
        """Errors: EnvironmentFault where rows did not reach the disk, of which wandb says nothing."""
        self.run.finish(exit_code=exit_code)
        if self._offline:
            stored = Path(self.run.settings.sync_file)
            found = _stored_rows(stored)
            if found != self._rows:
                raise EnvironmentFault(f"{found} of {self._rows} rows reached the disk; is it full?")
            (stored.parent / LAST_STEP).write_text(str(self.next_step - 1))
            stored.parent.rename(self._folder / stored.parent.name)
        shutil.rmtree(self._home, ignore_errors=True)


def _last_step(folder: Path) -> int:
    """The last step of all finished offline folders, -1 where there is none."""
    return max([-1, *(int(file.read_text()) for file in folder.glob(f"offline-run-*/{LAST_STEP}"))])


def _stored_rows(file: Path) -> int:
    """How many rows wandb's own reader finds in an offline file."""
    from wandb.util import get_core_path

    command = [get_core_path(), "leet", "inspect", "-json", "-no-observability", "-run-file", str(file)]
    lines = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.splitlines()
    return sum(b'"type":"history"' in line for line in lines)


class WandbSink:
    """Scalars under their metric names, distributions as histograms whose bins are already counted."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.next_step = session.next_step

    def record(self, step: int, values: dict[str, float], histograms: dict[str, dict]) -> None:
        import wandb

        drawn = {m: wandb.Histogram(np_histogram=_counts_and_edges(h)) for m, h in histograms.items()}
        self._session.log({**values, **drawn}, step)

    def close(self, state: str) -> None:
        self._session.run.summary["state"] = state
        self._session.close(exit_code=1 if state in FAILED_STATES else 0)


def open_wandb(watched: Watched) -> Sink:
    """The runs of an experiment are one group, its variants job types; experiment, setting, variant and seed are tags.

    Offline unless the environment says otherwise (`WANDB_MODE=online`).
    """
    config = watched.config
    experiment, variant, seed = config["experiment"], config["variant"], config["seed"]
    setting = f"{config['data']['name']}-{config['scale']}"
    session = Session(
        watched.folder,
        id=watched.key,
        group=experiment,
        job_type=variant,
        name=f"{variant}/{watched.directory.name}",
        tags=[experiment, setting, variant, f"seed-{seed}"],
        config=config,
    )
    return WandbSink(session)


def publish_verdicts(verdicts: Verdicts) -> None:
    """A run of job type `verdicts` in the experiment's group: figures, a table of claims, verdicts in its summary."""
    import wandb

    about = verdicts.about
    setting = f"{about['data']}-{about['scale']}"
    session = Session(
        verdicts.folder,
        id=verdicts.key,
        group=about["experiment"],
        job_type="verdicts",
        name=f"{about['experiment']} {setting}",
        tags=[about["experiment"], setting, "verdicts"],
        config=about,
    )
    table = wandb.Table(columns=list(VERDICT_COLUMNS), data=[_cells(row) for row in verdicts.claims])
    figures = {f"figures/{name}": wandb.Image(str(file)) for name, file in verdicts.figures.items()}
    session.log({"claims": table, **figures}, session.next_step)
    session.run.summary.update({f"verdicts/{row['id']}": row["verdict"] for row in verdicts.claims})
    session.close()


def _cells(row: dict) -> list:
    """A claim as a line of the table; its interval as text, since a column has one type."""
    interval = "" if row["interval"] is None else "[{:g}, {:g}]".format(*row["interval"])
    return [interval if key == "interval" else row[key] for key in VERDICT_COLUMNS]


def _counts_and_edges(histogram: dict) -> tuple[np.ndarray, np.ndarray]:
    counts = np.asarray(histogram["counts"])
    return counts, np.linspace(histogram["lo"], histogram["hi"], len(counts) + 1)
