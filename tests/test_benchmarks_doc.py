"""Every benchmark is told of in benchmarks/README.md, with words that it takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
README = (FOLDER / "README.md").read_text()
SOURCES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.py"))}
STARTED = [name for name, source in SOURCES.items() if 'if __name__ == "__main__":' in source]


def test_every_file_is_told_of():
    assert {"throughput.py", "sweeps.py", "scaling.py", "many_runs.py", "trackers.py", "pages.py"} == set(STARTED)
    assert [name for name in SOURCES if f"{name}`" not in README and f"benchmarks/{name} " not in README] == []


@pytest.mark.parametrize("name", [name for name in STARTED if name != "many_runs.py"])
def test_a_benchmark_has_its_paragraph_with_options_that_it_has(name):
    (told,) = re.findall(rf"`[^`]*python benchmarks/{name}( [^`]*)`", README)
    options = re.findall(r"--[a-z-]+", told)
    assert [option for option in options if f'"{option}"' not in SOURCES[name]] == []
