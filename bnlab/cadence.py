"""When a probe measures."""

from __future__ import annotations

from dataclasses import dataclass

from bnlab.errors import BadInput


@dataclass(frozen=True)
class Cadence:
    """The steps at which something happens, written `20it`, `1ep`, `log100` or several joined by `+`.

    `20it` is every 20 iterations, `1ep` every epoch, `log100` about 100 steps spaced evenly on a log
    axis, `@1,2,5` exactly those steps, `never` none. Step 0 (before the first update) always belongs,
    except to `never` and to a list that does not name it.
    """

    text: str

    @classmethod
    def parse(cls, text: str, key: str = "cadence") -> Cadence:
        for part in str(text).split("+"):
            if not _is_valid(part):
                raise BadInput(f"{key}={text}: not a cadence; write 20it, 1ep, log100, @1,2,5 or never")
        return cls(str(text))

    def steps(self, total: int, steps_per_epoch: int) -> frozenset[int]:
        """The steps in [0, total) that belong to this cadence."""
        chosen: set[int] = set()
        for part in self.text.split("+"):
            chosen.update(_steps_of(part, total, steps_per_epoch))
        return frozenset(s for s in chosen if 0 <= s < total)


def _is_valid(part: str) -> bool:
    if part == "never":
        return True
    if part.startswith("@"):
        return all(s.isdigit() for s in part[1:].split(","))
    if part.startswith("log"):
        return part[3:].isdigit() and int(part[3:]) > 0
    return part[-2:] in ("it", "ep") and part[:-2].isdigit() and int(part[:-2]) > 0


def _steps_of(part: str, total: int, steps_per_epoch: int) -> set[int]:
    if part == "never":
        return set()
    if part.startswith("@"):
        return {int(s) for s in part[1:].split(",")}
    if part.startswith("log"):
        import numpy as np  # here, because every command reads configurations and few expand them

        spaced = np.geomspace(1, max(total - 1, 1), int(part[3:]))
        return {0, *(int(s) for s in np.unique(np.round(spaced)))}
    every = int(part[:-2]) * (steps_per_epoch if part.endswith("ep") else 1)
    return set(range(0, total, every))
