"""The words of a command line: options that many commands share, and which settings the words name."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bnlab import paths
from bnlab.errors import BadInput, Incomplete


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and lets options stand between the other words."""

    def __init__(self, **options: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; `{self.prog} --help` shows what it takes")

    def parse(self, words: list[str]) -> argparse.Namespace:
        return self.parse_intermixed_args(words)


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", metavar="DIR", help="results folder (default: BNLAB_RESULTS, else ./results)")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_selection(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Experiments, `data=` and `scale=`, as the commands take them that read what is stored."""
    words = f"EXPERIMENT | {also}data=NAME | scale=NAME"
    parser.add_argument("words", nargs="*", metavar=words, help="default: all there are")
    add_results(parser)


def configure_reading(parser: argparse.ArgumentParser, examples: str, also: str = "") -> None:
    """What every command takes that judges or draws stored runs: which settings, and from where."""
    parser.epilog = examples
    add_selection(parser, also)
    parser.add_argument(
        "--from",
        dest="source",
        choices=("auto", "runs", "pack"),
        default="auto",
        help="read run directories or the pack (default: runs if any is finished, else the pack)",
    )


@dataclass(frozen=True)
class Target:
    """One setting of one experiment in a results folder."""

    experiment: str
    data: str
    scale: str
    directory: Path


@dataclass(frozen=True)
class Selection:
    """What the words of a reading command name; None and an empty tuple stand for all."""

    experiments: tuple[str, ...]
    data: str | None
    scale: str | None


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Experiments and `key=value` words. Errors: BadInput for an unknown experiment."""
    from bnlab.compose import card

    names = list(dict.fromkeys(word for word in words if "=" not in word))
    for name in names:
        card(name)
    return names, [word for word in words if "=" in word]


def parse_selection(words: list[str]) -> Selection:
    """Errors: BadInput for an unknown experiment, key, data set or scale."""
    from bnlab.config import DATASETS, SCALES
    from bnlab.ranges import nearest

    names, pairs = split_words(words)
    chosen: dict[str, str] = {}
    for key, _, value in (pair.partition("=") for pair in pairs):
        known = {"data": DATASETS, "scale": SCALES}.get(key)
        if known is None:
            raise BadInput(f"{key}={value}: stored runs are chosen by data= and scale=; `bnlab run` takes other keys")
        if value not in known:
            raise BadInput(f"{key}={value}: no such choice{nearest(value, known)}; there are {', '.join(known)}")
        chosen[key] = value
    return Selection(tuple(names), chosen.get("data"), chosen.get("scale"))


def targets(root: Path, selection: Selection) -> list[Target]:
    """The planned settings that the selection admits, whether anything is stored or not.

    Errors: BadInput when there is none.
    """
    from bnlab.compose import card, experiment_names

    found = []
    for name in selection.experiments or experiment_names():
        for setting in card(name).settings.values():
            if selection.data in (None, setting.data) and selection.scale in (None, setting.scale):
                directory = paths.setting_dir(root, name, setting.data, setting.scale)
                found.append(Target(name, setting.data, setting.scale, directory))
    if not found:
        asked = [f"{k}={v}" for k, v in (("data", selection.data), ("scale", selection.scale)) if v]
        words = " ".join([*selection.experiments, *asked])
        raise BadInput(f"{words}: no experiment has such a plan; `bnlab list` shows all")
    return found


def stored_targets(root: Path, words: list[str]) -> list[Target]:
    """The selected settings of which there are finished runs or a pack.

    Errors: BadInput; Incomplete without a results folder, or when nothing is stored for an experiment that was named,
    or for any.
    """
    from bnlab.claim_report import DEMONSTRATION

    selection = parse_selection(words)
    admitted = targets(root, selection)
    need_results(root)
    stored = [target for target in admitted if is_stored(target.directory)]
    for name in selection.experiments or ("",):
        if not any(name in ("", target.experiment) for target in stored):
            of_name = [target for target in admitted if name in ("", target.experiment)]
            usual = min(of_name, key=lambda target: (target.scale != "laptop", target.data != DEMONSTRATION))
            how = f"`bnlab run {usual.experiment} data={usual.data} scale={usual.scale}`"
            raise Incomplete(f"{root}: no finished run{f' of {name}' if name else ''}; type {how} first")
    return stored


def need_results(root: Path) -> None:
    """For what reads. Errors: Incomplete where there is no such folder: nothing was run, or it lies elsewhere."""
    if not root.is_dir():
        remedy = "name another with --results DIR, or type `bnlab run EXPERIMENT` first"
        raise Incomplete(f"{root}: no such folder of results; {remedy}")


def is_stored(setting: Path) -> bool:
    from bnlab.store import finished

    if paths.pack_index(paths.pack_dir(setting)).exists():
        return True
    return any(finished(run) for run in paths.runs_dir(setting).glob("*/*"))
