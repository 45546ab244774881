"""Fails when a marked group of tests was skipped as a whole: `check_groups.py JUNIT_XML`.

`tests/conftest.py` writes the groups of a test into the report, as properties named `group`.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path


def tallies(report: Path) -> dict[str, tuple[int, int]]:
    """Group -> (tests that ran, tests that were skipped)."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for case in ElementTree.parse(report).iter("testcase"):
        for group in {p.get("value", "") for p in case.iter("property") if p.get("name") == "group"}:
            counts[group][case.find("skipped") is not None] += 1
    return {group: (ran, skipped) for group, (ran, skipped) in sorted(counts.items())}


def main(report: Path) -> int:
    groups = tallies(report)
    for group, (ran, skipped) in groups.items():
        print(f"{group}: {ran} ran, {skipped} skipped")
    idle = [group for group, (ran, _) in groups.items() if not ran]
    if idle:
        print(f"wholly skipped: {', '.join(idle)}; install what they need, or see the reasons above", file=sys.stderr)
    return 1 if idle else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
