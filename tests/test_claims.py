"""The verdict rule: what is supported, what is refuted, and that nothing is claimed without cause."""

import dataclasses
import json
import math

import numpy as np
import pytest

from bnlab import paths
from bnlab.claim_report import after_holm, claim_row, claim_rows, claims_markdown, undone_by_holm, with_holm
from bnlab.claims import (
    MIXED,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Measured,
    Part,
    Published,
    Verdict,
    combine,
    decide,
    judge_part,
)
from bnlab.commands.reading import _claims_lines, _warn_of_fuller_pack, judge_claims
from bnlab.commands.words import Target
from bnlab.comparisons import geometric_note, log_ratio, mean_measured
from bnlab.experiment import Experiment
from bnlab.measures import lost_seeds, over_window
from bnlab.sweeping.plan import make_plan

SPREAD = np.array([-0.1, -0.05, 0.0, 0.05, 0.1])


@pytest.mark.parametrize(
    "centre, margin, differs, expected",
    [
        (1.0, 0.5, True, SUPPORTED),
        (-1.0, 0.5, True, REFUTED),
        (0.0, 0.5, True, REFUTED),
        (0.0, 0.5, False, UNDECIDED),
        (0.5, 0.5, True, UNDECIDED),
        (-0.5, 0.5, True, UNDECIDED),
        (0.3, 0.0, True, SUPPORTED),
        (0.0, 0.0, True, UNDECIDED),
    ],
)
def test_rule(centre, margin, differs, expected):
    verdict = decide(centre + SPREAD, margin, differs)
    assert verdict.verdict == expected
    assert (verdict.p is None) == (expected == UNDECIDED)
    assert verdict.p is None or verdict.p < 0.05


def test_one_seed_decides_nothing():
    verdict = decide({0: 5.0}, 0.1, planned=3)
    assert (verdict.verdict, verdict.effect, verdict.interval) == (UNDECIDED, 5.0, None)
    assert (verdict.n, verdict.planned) == (1, 3)


def test_missing_runs_are_counted_as_missing():
    verdict = decide({0: 1.0, 1: 1.1, 2: math.nan}, 0.0, planned=5)
    assert (verdict.n, verdict.planned) == (2, 5)
    nothing = decide({}, 0.0, planned=5)
    assert (nothing.verdict, nothing.effect, nothing.n, nothing.planned) == (UNDECIDED, None, 0, 5)


def test_survivors_alone_decide_nothing():
    effects = {0: 1.0, 1: 1.1, 2: math.nan}
    part = Part("a", "m", "up", "units", 0.1, lambda runs: Measured(effects, 3, "layer 2", frozenset({2})))
    verdict = judge_part(part, None)
    assert (verdict.verdict, verdict.effect, verdict.interval, verdict.p) == (UNDECIDED, None, None, None)
    assert (verdict.n, verdict.planned) == (2, 3)
    assert verdict.note.startswith("1 of 3 seeds finished without a value") and verdict.note.endswith("layer 2")
    assert judge_part(_part(effects), None).verdict == SUPPORTED  # the third run is only not there yet


def test_a_seed_is_lost_where_a_finished_run_has_no_value_and_not_where_a_run_is_missing():
    assert lost_seeds({0: 1.0, 1: math.nan, 2: 3.0}, {0: 1.0, 1: 2.0}) == {1}
    assert lost_seeds({}, {0: 1.0}) == frozenset()
    both = mean_measured([Measured({0: 1.0}, 2, lost=frozenset({1})), Measured({0: 3.0, 1: 2.0}, 2)], 2)
    assert both.effects[0] == 2.0 and math.isnan(both.effects[1]) and both.lost == {1}


def test_negative_margin_is_refused():
    with pytest.raises(ValueError, match="margin"):
        decide([1.0, 2.0], -0.1)


def test_one_arm_as_both_supports_nothing():
    same = dict.fromkeys(range(5), 0.0)
    assert decide(same, 0.0).verdict == UNDECIDED
    assert decide(same, 0.1).verdict == REFUTED  # of a sentence that says they differ


@pytest.mark.parametrize("parts, whole", [
    ((SUPPORTED, SUPPORTED), SUPPORTED),
    ((REFUTED, REFUTED), REFUTED),
    ((SUPPORTED, REFUTED), MIXED),
    ((SUPPORTED, UNDECIDED, REFUTED), MIXED),
    ((SUPPORTED, UNDECIDED), UNDECIDED),
    ((REFUTED, UNDECIDED), UNDECIDED),
])  # fmt: skip
def test_parts_make_a_whole(parts, whole):
    verdict = combine(Verdict(word, 1.0, n=5 - k, planned=5) for k, word in enumerate(parts))
    assert verdict.verdict == whole
    assert [part.verdict for part in verdict.parts] == list(parts)
    assert (verdict.n, verdict.planned) == (6 - len(parts), 5)


def test_the_weakest_part_gives_n_and_no_interval_of_another():
    first = Verdict(SUPPORTED, 1.0, interval=(0.5, 1.5), n=5, planned=5, label="a")
    second, third = (Verdict(SUPPORTED, 9.0, interval=(8.0, 10.0), n=n, planned=n) for n in (5, 3))
    alike = combine([first, second])
    assert (alike.n, alike.planned, alike.effect, alike.interval) == (5, 5, 1.0, (0.5, 1.5))
    weaker = combine([first, second, third])  # all its runs are there, and still it rests on three seeds
    assert (weaker.n, weaker.planned, weaker.effect, weaker.interval) == (3, 3, None, None)
    missing = combine([first, dataclasses.replace(second, n=4), third])
    assert (missing.n, missing.planned, missing.interval) == (4, 5, None)


def test_a_refuted_part_of_an_undecided_whole_is_told():
    words = [REFUTED] + [UNDECIDED] * 2
    assert combine(Verdict(word, 1.0, n=3, planned=3) for word in words).note == "1 of 3 parts refuted, 2 undecided"
    (row,) = _rows((_part(DOWN), _part({0: 1.0})))
    assert row["verdict"] == UNDECIDED and row["note"] == "1 of 2 parts refuted, 1 undecided"
    text = claims_markdown([row])
    assert "Of the whole: 1 of 2 parts refuted, 1 undecided." in text
    assert "| per part: 1 refuted, 1 undecided |" in text
    shown = "\n".join(_claims_lines([row]))
    assert "per part: 1 refuted, 1 undecided" in shown and "1 of 3" in shown and "[" not in shown


@pytest.mark.parametrize("held, said", [(1, False), (3, True)])
def test_a_pack_with_more_runs_than_the_directories_is_pointed_at(tmp_path, monkeypatch, capsys, held, said):
    planned = make_plan("ics_vgg", ["data=digits", "scale=smoke"]).complete
    target = Target("ics_vgg", "digits", "smoke", tmp_path)
    index = paths.pack_index(paths.pack_dir(tmp_path))
    index.parent.mkdir(parents=True)
    index.write_text("{}")
    entries = [{"variant": run.config.variant, "id": run.id} for run in planned[:held]] + [{"variant": "x", "id": "y"}]
    monkeypatch.setattr("bnlab.store.runs.read_index", lambda pack: entries)
    _warn_of_fuller_pack(target, Loaded("runs", 1), planned)
    told = capsys.readouterr().err
    assert (f"the pack holds {held} runs, the directories 1; `bnlab unpack ics_vgg`" in told) == said == bool(told)
    _warn_of_fuller_pack(target, Loaded("pack", 1), planned)
    assert capsys.readouterr().err == ""


@dataclasses.dataclass
class Loaded:
    source: str
    n: int


@pytest.mark.parametrize("found, code", [({}, 4), ({0: 1.0}, 0)])
def test_a_claim_without_any_run_makes_the_command_incomplete(tmp_path, monkeypatch, capsys, found, code):
    claim = Claim("S0-99", "it rises", "S", "nowhere", parts=(_part(found),))
    monkeypatch.setattr("bnlab.commands.reading.loaded", lambda targets, source: [(targets[0], Setting())])
    monkeypatch.setattr("bnlab.experiment.load", lambda name: Experiment(name, "", "", (claim,), {}))
    target = Target("x", "mnist", "laptop", tmp_path)
    assert judge_claims([target], "auto", as_json=False, everything=True) == code
    assert "S0-99" in capsys.readouterr().out


def _part(effects, **more) -> Part:
    return Part("a", "m", "up", "units", 0.1, lambda runs: Measured(effects, 3), **more)


UP, DOWN = {0: 1.0, 1: 1.1, 2: 0.9}, {0: -1.0, 1: -1.1, 2: -0.9}


def test_what_stands_beside_does_not_count():
    claim = Claim("S0-99", "it rises", "S", "nowhere", parts=(_part(UP), _part(DOWN, beside=True)))
    verdict = claim.judge(None)
    assert verdict.verdict == SUPPORTED and verdict.parts == ()
    assert [v.verdict for v in verdict.beside] == [REFUTED]


def test_a_claim_needs_something_to_rest_on():
    with pytest.raises(ValueError, match="needs a test"):
        Claim("S0-99", "it rises", "S", "nowhere", parts=(_part(UP, beside=True),))
    with pytest.raises(ValueError, match="kind"):
        Claim("S0-99", "it rises", "Z", "nowhere", parts=(_part(UP),))


@dataclasses.dataclass
class Setting:
    experiment: str = "x"
    data: str = "mnist"
    scale: str = "laptop"
    source: str = "pack"


def _row(parts) -> dict:
    claim = Claim("S0-99", "it | rises", "S", "nowhere", "m", parts, Published(2.5, "about 2.5", "the chart"))
    return claim_row(claim, claim.judge(None), Setting())


def _rows(*claims) -> list[dict]:
    return with_holm([_row(parts) for parts in claims])


def test_rows_carry_what_the_command_promises():
    row = json.loads(json.dumps(_row((_part(UP),))))
    wanted = "id says kind source verdict effect unit interval n planned published experiment data scale from".split()
    assert set(wanted) <= set(row)
    assert row["published"] == {"value": 2.5, "text": "about 2.5", "provenance": "the chart"}
    assert row["from"] == "pack" and len(row["interval"]) == 2
    assert json.loads(json.dumps(_row((_part({}),))))["effect"] is None


def test_markdown_has_a_whole_table_and_every_part():
    text = claims_markdown(_rows((_part(UP), _part(DOWN), _part(UP, beside=True)), (_part({0: 1.0}),)))
    assert "**mixed**" in text and "1 of 3" in text and "beside it: a" in text and "it \\| rises" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {8, 11}


def test_holm_over_all_statements():
    assert after_holm(_rows((_part(UP), _part(DOWN)), (_part({0: 1.0}),))) == (2, 2)


def test_a_statement_that_two_claims_share_is_one_test():
    assert after_holm(_rows((_part(UP), _part(DOWN)), (_part(UP),))) == (2, 2)
    other = {seed: value + 1 for seed, value in UP.items()}
    assert after_holm(_rows((_part(UP), _part(DOWN)), (_part(UP),), (_part(other),))) == (3, 3)


def test_both_p_values_of_every_statement_are_told():
    """Three tests in all, one of them undecided: the smaller p is multiplied by 3, the larger by 2."""
    weak = {0: 0.2, 1: 0.45, 2: 0.3, 3: 0.5}
    nothing = {0: -1.0, 1: 1.0, 2: 0.0}
    both, alone, again = _rows((_part(UP), _part(nothing)), (_part(weak),), (_part(UP), _part(weak)))
    up, undecided = both["parts"]
    assert up["p"] < alone["p"] < 0.05
    assert up["holm"] == pytest.approx(3 * up["p"], rel=1e-5)
    assert alone["holm"] == pytest.approx(2 * alone["p"], rel=1e-5)
    assert (undecided["p"], undecided["holm"], both["holm"]) == (None, None, None)
    assert [part["holm"] for part in again["parts"]] == [up["holm"], alone["holm"]]
    assert f"| {up['p']:.2g} | {up['holm']:.2g} |" in claims_markdown([both, alone])


def test_a_verdict_that_holms_adjustment_undoes_is_marked():
    """Four tests: the weak one's p of 0.027 is multiplied by 3, and so no more below 0.05."""
    weak = {0: 0.25, 1: 0.6, 2: 0.2, 3: 0.7, 4: 0.4}
    weaker = {seed: -value - 0.001 for seed, value in weak.items()}
    wide = {0: -1.0, 1: 1.0, 2: 0.0}
    rows = _rows((_part(UP),), (_part(weak),), (_part(UP), _part(weaker)), (_part(UP), _part(wide)), (_part(wide),))
    assert [row["verdict"] for row in rows] == [SUPPORTED, SUPPORTED, MIXED, UNDECIDED, UNDECIDED]
    assert rows[1]["p"] < 0.05 <= rows[1]["holm"]
    assert [undone_by_holm(row) for row in rows] == [False, True, True, False, False]
    lines = _claims_lines(rows)
    assert sum("†" in line for line in lines) == 3 and lines[-2].startswith("† undecided, were p adjusted")
    assert not any("†" in line for line in _claims_lines(rows[:1]))


def test_a_mixed_verdict_stays_while_firm_parts_disagree():
    weak = {0: 0.25, 1: 0.6, 2: 0.2, 3: 0.7, 4: 0.4}
    row, _ = _rows((_part(UP), _part(DOWN), _part(weak)), (_part({0: -1.0, 1: 1.0, 2: 0.0}),))
    assert [part["holm"] >= 0.05 for part in row["parts"]] == [False, False, True]
    assert row["verdict"] == MIXED and not undone_by_holm(row)


def test_the_note_beside_a_log_ratio_has_geometric_means():
    above, below = {0: 8.0, 1: 2.0, 2: math.nan}, {0: 0.1, 1: 0.4, 2: 1.0}
    assert geometric_note({"a": above, "b": {0: 0.1, 1: 0.4}}) == "geometric means: a 4, b 0.2"
    assert np.nanmean(list(log_ratio(above, below).values())) == pytest.approx(math.log10(4 / 0.2))
    tiny = {0: 1e-20, 1: 1e-10, 2: 0.0}
    assert geometric_note({"a": tiny}) == "geometric means: a 1e-06"
    assert geometric_note({"a": tiny}, least=0.0) == "geometric means: a 1e-15"
    assert geometric_note({"a": {0: math.nan}}) == ""


def test_no_one_number_stands_for_several_parts():
    (row,) = _rows((_part(UP), _part(DOWN)))
    assert (row["effect"], row["interval"], row["margin"], row["p"], row["unit"]) == (None, None, None, None, "")
    assert all(part["effect"] and part["unit"] for part in row["parts"])


def test_diverged_runs_count_at_chance_or_with_their_last_record(made):
    runs = made
    broken = runs.table.index[0]
    table = runs.table.copy()
    table.loc[broken, ["state", "diverged_at"]] = ["diverged", 400.0]
    metrics = runs.metrics[(runs.metrics["run"] != broken) | (runs.metrics["step"] <= 400)]
    cut = dataclasses.replace(runs, table=table, metrics=metrics).select(**{k: table.loc[broken, k] for k in KEYS})
    seed = table.loc[broken, "seed"]
    assert over_window(cut, "curves/test_accuracy", chance=0.1)[seed] == 0.1
    saturated = cut.series("activations/saturated/pooled")[seed].dropna().iloc[-1]
    assert over_window(cut, "activations/saturated/pooled")[seed] == saturated
    assert len(over_window(cut, "curves/test_accuracy", chance=0.1)) == 3


KEYS = ("model.activation", "model.name", "variant", "lr", "batch_size", "steps")


@pytest.fixture(scope="module")
def made():
    from made_runs import as_the_talk_says, made_runs

    return made_runs(as_the_talk_says)


def test_a_claim_is_judged_only_on_its_data_sets():
    from made_runs import made_runs

    runs = made_runs(lambda row, steps, rng: {}, ("data=digits", "scale=smoke"))
    here, elsewhere = (
        Claim(f"S0-9{k}", "it rises", "S", "nowhere", parts=(_part(UP),), only=(data,))
        for k, data in enumerate(("digits", "cifar10"))
    )
    assert [row["id"] for row in claim_rows([here, elsewhere], runs)] == ["S0-90"]
