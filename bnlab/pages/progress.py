"""How far a sweep is that is running now, and how long it still takes, from what its runs say of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from bnlab.pages.index import Entry
from bnlab.store import FINISHED


def sweep_progress(entries: Sequence[Entry], planned: int | None) -> dict | None:
    """None where nothing runs. `seconds_left` is None while nothing is known of what a step costs.

    The plan may hold runs that no directory has yet: they count as long as the others on average.
    """
    running = [entry for entry in entries if entry.run.status.state == "running"]
    if not running:
        return None
    own = [entry for entry in entries if entry.directory is not None]
    total = max(planned or 0, len(own))
    finished = sum(entry.run.status.state in FINISHED for entry in own)
    done = finished + sum(_part(entry) for entry in running)
    return {
        "total": total,
        "finished": finished,
        "running": len(running),
        "failed": sum(entry.run.status.state == "failed" for entry in own),
        "part": done / total if total else 0.0,
        "seconds_left": _seconds_left(own, len(running), total),
    }


def _part(entry: Entry) -> float:
    status = entry.run.status
    return min(status.step / status.steps, 1.0) if status.steps else 0.0


def _seconds_left(own: Sequence[Entry], at_work: int, total: int) -> float | None:
    """Seconds a step of each variant has cost, times the steps ahead, shared by the runs at work."""
    spent = _cost_per_step(own)
    if not spent:
        return None
    usual = sum(spent.values()) / len(spent)
    known = [e for e in own if e.run.status.steps]
    ahead = sum(
        (e.run.status.steps - e.run.status.step) * spent.get(e.run.variant, usual)
        for e in known
        if e.run.status.state not in FINISHED
    )
    each = sum(e.run.status.steps * spent.get(e.run.variant, usual) for e in known) / max(len(known), 1)
    return (ahead + (total - len(own)) * each) / at_work


def _cost_per_step(own: Sequence[Entry]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    steps: dict[str, int] = {}
    for entry in own:
        status = entry.run.status
        if status.step and status.seconds:
            seconds[entry.run.variant] = seconds.get(entry.run.variant, 0.0) + status.seconds
            steps[entry.run.variant] = steps.get(entry.run.variant, 0) + status.step
    return {variant: seconds[variant] / steps[variant] for variant in seconds}
