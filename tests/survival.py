"""What has to hold when a run met a fault and the same command is given again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from fault_tools import Attempt, Fault, attempt, digest, recorded_steps

from bnlab import paths, store
from bnlab.config import RunConfig
from bnlab.training import checkpoint


class Survey:
    """Faults met by one configuration, each in a folder of its own, compared with an undisturbed run.

    What a second attempt makes of a folder depends on its content alone, so each content is run again only once.
    `prepare` is a mutation of bnlab that both attempts get, the undisturbed one not.
    """

    def __init__(self, config: RunConfig, root: Path, prepare: Callable[[], None] | None = None) -> None:
        self._config, self._root, self._prepare = config, root, prepare
        self._known: dict[str, list[str]] = {}
        self._met = 0
        reference = root / "undisturbed" / "run"
        self.undisturbed = attempt(config, reference)
        assert self.undisturbed.state == "done", self.undisturbed.error
        self._bits, self._steps = digest(reference), recorded_steps(reference)

    def meet(self, fault: Fault) -> tuple[Attempt, list[str]]:
        """How an attempt with this fault fared, and every promise that was broken then or by the next attempt."""
        self._met += 1
        run = self._root / str(self._met) / "run"
        first = attempt(self._config, run, fault, self._prepare)
        content = _content(run)
        if content not in self._known:
            self._known[content] = [*self._lost(run, first), *self._again(run)]
        else:
            self._known[content] += self._lost(run, first)
        return first, self._known[content]

    def _lost(self, run: Path, first: Attempt) -> list[str]:
        """What the first attempt had committed, and is not there."""
        if first.done:
            whole = store.finished(run) and digest(run) == self._bits
            return [] if whole else ["a finished run is not what it was"]
        found = checkpoint.load(run)[0]
        step = found["step"] if found else 0
        return [f"step {c} was saved, {step} is there" for c in first.committed[-1:] if step < c]

    def _again(self, run: Path) -> list[str]:
        expected = (checkpoint.load(run)[0] or {"step": 0})["step"]
        if store.finished(run):
            expected = self._config.steps
        second = attempt(self._config, run, prepare=self._prepare)
        if second.state != "done":
            return [f"the next attempt ends with {second.error}"]
        problems = [] if digest(run) == self._bits else ["other bits"]
        if recorded_steps(run) != self._steps:
            problems.append(f"steps {recorded_steps(run)}")
        resumed = f"resumed at step {expected}" in store.read_status(run).notes
        if not resumed and expected not in (0, self._config.steps):
            problems.append(f"did not go on from step {expected}")
        if not store.finished(run) or list(run.glob(".*.tmp")) and second.calls:
            problems.append("something is left over")
        return problems


def _content(run: Path) -> str:
    """The names and bytes under a folder, without what differs between any two attempts: process ids and times."""
    found = {}
    for path in sorted(run.rglob("*")) if run.exists() else []:
        content = path.read_bytes()
        if path == paths.run_log(run):
            continue
        if path == paths.status_json(run):
            content = json.dumps({**json.loads(content), "seconds": 0.0}).encode() if content else b""
        found[re.sub(r"\.\d+\.tmp$", "", path.name)] = content
    return repr(found)
