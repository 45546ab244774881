"""A clone recomputes every shipped figure, to the byte, and every shipped verdict from the packs, without torch."""

import hashlib
import json
import math
import re
import shutil

import pytest
from shipped import HEADLINES, PACKS

from bnlab import paths

MOST_BYTES = {"headlines": 10_000_000, "all": 30_000_000}


def test_both_headline_experiments_ship_a_pack_on_real_data():
    assert set(HEADLINES) <= set(PACKS)


def test_packs_stay_small_enough_for_git():
    assert _bytes_of(HEADLINES) <= MOST_BYTES["headlines"]
    assert _bytes_of(PACKS) <= MOST_BYTES["all"]


def _bytes_of(settings):
    return sum(path.stat().st_size for setting in settings for path in (setting / "pack").iterdir())


@pytest.mark.parametrize("setting", PACKS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_packs_are_whole(setting):
    """The sums in the index are those of the files."""
    for name, digest in json.loads(paths.pack_index(setting / "pack").read_text())["sha256"].items():
        assert hashlib.sha256((setting / "pack" / name).read_bytes()).hexdigest() == digest


def _statements():
    for setting in PACKS:
        for row in json.loads(paths.claims_json(setting).read_text()):
            yield from ((row["id"], part) for part in (*(row["parts"] or [row]), *row["beside"]))


def test_units_are_words_that_a_number_can_stand_before():
    """Formulas stand in brackets behind them: `+0.19 to spare (0.5 - |mean - 2.5|)`."""
    units = {part["unit"] for _, part in _statements()}
    bare = {unit: re.sub(r" \(.*\)$", "", unit) for unit in units}
    assert [unit for unit, words in bare.items() if re.search(r"\||^\W|^\d| less |^of |^share above", words)] == []
    assert "to spare (0.5 - |mean - 2.5|)" in units


def test_notes_beside_log_ratios_are_geometric_means():
    """Their ratio is the effect, to the four digits that a note has."""
    numbers = r"geometric means: .* ([\d.e+-]+), .* ([\d.e+-]+)"
    checked = 0
    for id, part in _statements():
        if not part["unit"].startswith("log10") or part["note"].startswith("ours - published"):
            continue
        if told := re.fullmatch(numbers, part["note"]):
            first, second = map(float, told.groups())
            assert part["effect"] == pytest.approx(math.log10(first / second), abs=1e-3), (id, part["label"])
            checked += 1
        else:
            assert not re.search(r"[a-z] [\d.e+-]+, .* [\d.e+-]+$", part["note"]), (id, part["label"], part["note"])
    assert checked > 40


@pytest.mark.shipped
@pytest.mark.parametrize("setting", PACKS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_figures_and_verdicts_come_out_of_the_pack(setting, results, no_torch):
    copy = results / setting.parent.name / setting.name
    shutil.copytree(setting / "pack", copy / "pack")
    for command in ("figures", "claims"):
        done = no_torch([command, setting.parent.name, "--from", "pack"])
        assert done.returncode == 0, done.stderr
    drawn = {p.name: p.read_bytes() for p in (copy / "figures").iterdir()}
    shipped = {p.name: p.read_bytes() for p in (setting / "figures").iterdir()}
    assert sorted(drawn) == sorted(shipped)
    assert [name for name in drawn if drawn[name] != shipped[name]] == []
    for file_of in (paths.claims_json, paths.claims_markdown):
        assert file_of(copy).read_text() == file_of(setting).read_text()
