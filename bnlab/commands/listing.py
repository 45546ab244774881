"""`bnlab list` and `bnlab status`: what there is to run, and what was run."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from pathlib import Path

from bnlab.commands.tables import count_text, minutes_text, overrides_text, table
from bnlab.commands.words import add_json, add_results, need_results
from bnlab.errors import BadInput
from bnlab.paths import results_root


def configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all there are")
    add_json(parser)
    parser.set_defaults(act=list_experiments)


def list_experiments(arguments: argparse.Namespace) -> int:
    from bnlab.compose import card, experiment_names
    from bnlab.sweeping.plan import count_runs

    cards = [card(name) for name in dict.fromkeys(arguments.experiments) or experiment_names()]
    rows = [
        {
            "name": said.name,
            "question": said.question,
            "source": said.source,
            "claims": list(said.claims),
            "settings": {name: {"runs": count_runs(s), "minutes": s.minutes} for name, s in said.settings.items()},
        }
        for said in cards
    ]
    print(json.dumps(rows, indent=1) if arguments.json else "\n\n".join(map(_experiment_text, rows)))
    return 0


def _experiment_text(row: dict) -> str:
    lines = [row["name"]]
    lines += textwrap.wrap(row["question"], 110, initial_indent="  ", subsequent_indent="  ")
    lines += textwrap.wrap(f"source: {row['source']}", 110, initial_indent="  ", subsequent_indent="    ")
    lines += [f"  claims: {' '.join(row['claims'])}"]
    for name, setting in row["settings"].items():
        data, _, scale = name.rpartition("-")
        words = [word for word in (f"data={data}", f"scale={scale}") if word not in ("data=digits", "scale=laptop")]
        command = " ".join(["bnlab run", row["name"], *words])
        lines.append(f"  {name:<19} {setting['runs']:>4} runs  {minutes_text(setting['minutes']):<18} {command}")
    return "\n".join(lines)


def configure_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT")
    add_json(parser)
    add_results(parser)
    parser.set_defaults(act=show_status)


def show_status(arguments: argparse.Namespace) -> int:
    from bnlab.store import all_runs

    root = results_root(arguments.results)
    if arguments.experiment and not (root / arguments.experiment).is_dir():
        _check_experiment(arguments.experiment)
    need_results(root)
    rows = [_status_row(run) for run in all_runs(root, arguments.experiment)]
    if arguments.json:
        print(json.dumps(rows, indent=1))
    elif rows:
        print(_status_text(rows))
    else:
        print(_no_runs_text(root, arguments.experiment))
    return 0


def _no_runs_text(root: Path, experiment: str | None) -> str:
    """What lies in the folder instead, as in a fresh clone, and how to see it."""
    packs = [index for index in root.glob("*/*/pack/runs.json") if experiment in (None, index.parents[2].name)]
    if not packs:
        return f"no runs in {root}; `bnlab list` shows what can be run"
    words = f" {experiment}" if experiment else ""
    see = f"`bnlab claims{words}` shows their verdicts, `bnlab figures{words}` draws them, `bnlab dashboard` has both"
    return f"no runs in {root}, but the packs of {count_text(len(packs), 'setting')}: {see}"


def _check_experiment(name: str) -> None:
    from bnlab.compose import card

    if "/" in name or name in (".", ".."):
        raise BadInput(f"{name}: not the name of an experiment; `bnlab list` shows all")
    card(name)


def _status_row(run) -> dict:
    return {
        "experiment": run.experiment,
        "data": run.data,
        "scale": run.scale,
        "variant": run.variant,
        "overrides": run.overrides,
        "seed": run.seed,
        "id": run.id,
        "state": run.status.state,
        "step": run.status.step,
        "steps": run.status.steps,
        "seconds": run.status.seconds,
        "attempts": run.status.attempts,
        "error": run.status.error,
    }


def _status_text(rows: list[dict]) -> str:
    header = ("experiment", "setting", "variant", "overrides", "seed", "id", "state")
    header += ("step", "seconds", "attempts", "error")
    cells = [
        (
            row["experiment"],
            f"{row['data']}-{row['scale']}",
            row["variant"],
            overrides_text(row["overrides"]),
            row["seed"],
            row["id"],
            row["state"],
            f"{row['step']}/{row['steps']}",
            f"{row['seconds']:.1f}",
            row["attempts"],
            row["error"],
        )
        for row in rows
    ]
    states = Counter(row["state"] for row in rows)
    totals = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return f"{table(header, cells, right=('seed', 'step', 'seconds', 'attempts'))}\n{len(rows)} runs: {totals}"
