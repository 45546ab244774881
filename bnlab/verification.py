"""A stored run trained once more, in memory, and compared with what it left while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bnlab.errors import IntegrityError
from bnlab.running import begin
from bnlab.store import Histogram, Recorded, Value, as_stored
from bnlab.training.digests import tensor_digests
from bnlab.training.loop import Outcome, train
from bnlab.training.state import TrainingState

NAMES_SHOWN = 2


@dataclass(frozen=True)
class Verified:
    """How much was compared and found equal; `weights` is empty where no sum of the final weights is stored."""

    steps: int
    tensors: int
    rungs: int
    values: int
    weights: str


class Verification:
    """Trains the stored run again; `apart` says on what other ground than it did, each line a reason to differ."""

    def __init__(self, stored: Recorded) -> None:
        """Load the data and build the net. Errors: those of starting a run."""
        self._stored = stored
        self._run, environment = begin(stored.config)
        before = stored.status.environment
        self.apart = [
            f"{key} was {_known(before[key])}, is now {_known(value)}: bits may differ"
            for key, value in environment.items()
            if key in before and before[key] != value
        ]

    def train(self, watch: Callable[[int], None]) -> Verified:
        """Train to the end of the stored run; `watch(step)` is called before every step.

        Errors: IntegrityError at the first step of the ladder where a tensor differs, or soon after a measurement does.
        """
        comparison = _Comparison(self._stored, self._run)

        def between_steps() -> bool:
            watch(self._run.step)
            comparison.between_steps()
            return False

        outcome = train(self._run, comparison.record, between_steps)
        return comparison.close(outcome)


class _Comparison:
    """Keeps the first measurement that differs until the next digests tell which tensors do."""

    def __init__(self, stored: Recorded, run: TrainingState) -> None:
        self._stored, self._run = stored, run
        self._expected = dict(stored.values)
        self._measured = ""
        self._equal_at: int | None = None
        self._tensors = self._rungs = self._values = 0

    def record(self, step: int, values: dict[str, Value]) -> None:
        expected = self._expected.pop(step, {})
        for metric in sorted({*expected, *values}):
            self._compare_value(step, metric, expected.get(metric), values.get(metric))
        self._values += len(values)

    def _compare_value(self, step: int, metric: str, expected: Value | None, found: Value | None) -> None:
        now = None if found is None else as_stored(found)
        if repr(now) == repr(expected) or self._measured:  # as text, because NaN equals NaN there
            return
        self._measured = f"at step {step}: {metric} {_change(expected, now)}"
        if not self._stored.digests:
            raise self._difference(self._measured)

    def between_steps(self) -> None:
        step, status = self._run.step, self._stored.status
        if step > status.step:
            raise self._difference(f"at step {status.step}: it {status.state} there, now it goes on")
        if step in self._stored.digests:
            self._compare_tensors(step)

    def _compare_tensors(self, step: int) -> None:
        expected = self._stored.digests[step]
        found = tensor_digests(self._run.net, self._run.optimizer)
        different = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
        self._look_for_missing(step)
        if different:
            since = "none before it" if self._equal_at is None else f"equal at step {self._equal_at}"
            where = f"at step {step} ({since}): {_listed(different)}"
            raise self._difference(f"{self._measured}; tensors {where}" if self._measured else where)
        if self._measured:
            raise self._difference(f"{self._measured}; every tensor is equal at step {step}")
        self._equal_at, self._tensors = step, len(found)
        self._rungs += 1

    def _look_for_missing(self, before: int) -> None:
        missing = min((step for step in self._expected if step < before), default=None)
        if missing is not None and not self._measured:
            self._measured = f"at step {missing}: {min(self._expected[missing])} was measured, now nothing is"

    def close(self, outcome: Outcome) -> Verified:
        """Compare what is known only at the end."""
        run, status = self._run, self._stored.status
        if run.step in self._stored.digests and outcome.state == "done":
            self._compare_tensors(run.step)
        self._look_for_missing(run.step + 1)
        if self._measured:
            raise self._difference(self._measured)
        if (outcome.state, run.step) != (status.state, status.step):
            raise self._difference(f"at step {run.step}: {outcome.state}, was {status.state} at step {status.step}")
        weights = run.weights_sha256()
        if status.weights_sha256 not in ("", weights):
            raise self._difference(
                f"at step {run.step}: final weights were {status.weights_sha256[:12]}, are now {weights[:12]}"
            )
        return Verified(run.step, self._tensors, self._rungs, self._values, status.weights_sha256)

    def _difference(self, what: str) -> IntegrityError:
        return IntegrityError(f"{self._stored.id}: first difference {what}")


def _known(value: object) -> object:
    return "unknown" if value in ("", None) else value


def _change(before: Value | None, now: Value | None) -> str:
    if isinstance(before, Histogram) and isinstance(now, Histogram):
        return "has another histogram"
    if before is None or now is None:
        return "was not measured, now it is" if before is None else "was measured, now it is not"
    return f"was {before:.4g}, is now {now:.4g}"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
