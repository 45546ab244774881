"""Figures have the same bytes wherever they are drawn, fonts that submission systems take, and their numbers beside."""

import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from bnlab.claims import Claim, Measured, Part, Verdict
from bnlab.errors import EnvironmentFault
from bnlab.exact import Documented
from bnlab.experiment import load
from bnlab.plots import bands, binned, curves, drawing, effects, errors, moments, ridges, rows, style
from bnlab.plots.published import mark, overlay

KINDS = ("pdf", "png", "svg", "csv")
DRAW = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
from test_plots import sample
from bnlab.plots.drawing import save
save(sample(), Path(sys.argv[1]), "sample")
"""


@style.styled
def sample() -> drawing.Drawing:
    figure = style.new_figure(style.COLUMN, 2.2)
    axes = figure.subplots(1, 2)
    steps = np.arange(0, 1001, 50)
    series = pd.DataFrame({seed: np.tanh(steps / 400) + 0.02 * seed for seed in range(3)}, index=steps)
    numbers = [curves.draw_curve(axes[0], series, style.look(v)).assign(variant=v) for v in ("plain", "bn")]
    curves.step_axis(axes[0], 1000)
    axes[0].set_ylabel("accuracy − $x^2$ (%)")
    bands.draw_bands(axes[1], steps, np.linspace(-1, 1, 8) * (1 + steps[:, None] / 500), style.look("bn").colour)
    drawing.small_print(figure, "n = 3 of 3 seeds")
    return drawing.Drawing(figure, pd.concat(numbers, ignore_index=True), "a sample")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    drawing.save(sample(), folder, "sample")
    return {kind: (folder / f"sample.{kind}").read_bytes() for kind in KINDS}


def test_bytes_are_the_same_in_another_process_zone_and_language(saved, tmp_path):
    """And with settings of the user's own, which must not matter."""
    own = tmp_path / "matplotlibrc"
    own.write_text("font.family: monospace\npdf.fonttype: 3\naxes.grid: False\nlines.linewidth: 5\n")
    settings = {"TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(own)}
    subprocess.run([sys.executable, "-c", DRAW, str(tmp_path)], check=True, env={**os.environ, **settings})
    for kind in KINDS:
        assert (tmp_path / f"sample.{kind}").read_bytes() == saved[kind], kind


def test_fonts_are_truetype_and_come_along(saved):
    assert b"/Type3" not in saved["pdf"] and b"/FontFile2" in saved["pdf"] and b"STIX" in saved["pdf"]
    assert b"<text" not in saved["svg"]
    assert b"CreationDate" not in saved["pdf"] and b"<dc:date>" not in saved["svg"]


def test_a_column_is_as_wide_as_a_column(saved):
    assert imread(io.BytesIO(saved["png"])).shape[:2] == (int(2.2 * 200), int(3.25 * 200))


def test_the_csv_holds_what_is_plotted(saved):
    numbers = pd.read_csv(io.BytesIO(saved["csv"]))
    line = sample().figure.axes[0].lines[0]
    plain = numbers[numbers["variant"] == "plain"]
    np.testing.assert_allclose(plain["step"], line.get_xdata())
    np.testing.assert_allclose(plain["mean"], line.get_ydata(), rtol=1e-5)
    assert (plain["n"] == 3).all() and (plain["low"] < plain["mean"]).all() and b"\r" not in saved["csv"]


def test_the_users_settings_come_back():
    import matplotlib

    before = matplotlib.rcParams["font.family"]
    sample()
    assert matplotlib.rcParams["font.family"] == before


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault) as error:
        drawing.save(sample(), tmp_path / "file", "sample")
    assert "\n" not in str(error.value)


def test_nothing_half_written_is_left(tmp_path):
    drawing.save(sample(), tmp_path, "sample")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"sample.{kind}" for kind in KINDS)


@pytest.mark.parametrize("compared", style.COMPARED)
def test_what_is_compared_differs_in_dash_marker_and_lightness(compared):
    looks = list(compared.values())
    assert len({str(o.dash) for o in looks}) == len({o.marker for o in looks}) == len(looks)
    lightness = sorted(float(np.dot(to_rgb(o.colour), (0.299, 0.587, 0.114))) for o in looks)
    assert min(np.diff(lightness)) > 0.1 and lightness[-1] < 0.8


def test_one_seed_has_a_mean_and_no_band():
    numbers = curves.summary(pd.DataFrame({0: [1.0, 2.0]}, index=[0, 1]))
    assert numbers["mean"].tolist() == [1, 2] and numbers["low"].isna().all() and numbers["n"].tolist() == [1, 1]


def test_a_band_is_the_t_interval():
    numbers = curves.summary(pd.DataFrame({0: [1.0], 1: [2.0], 2: [3.0]}))
    half = 4.302653 / np.sqrt(3)  # t quantile for 2 degrees of freedom, standard deviation 1
    assert numbers["low"][0] == pytest.approx(2 - half) and numbers["high"][0] == pytest.approx(2 + half)


def test_a_diverged_run_is_drawn_at_its_value_and_marked():
    series = pd.DataFrame({0: [0.5, 0.6, 0.7], 1: [0.5, np.nan, np.nan]}, index=[0, 10, 20])
    filled = curves.fill_diverged(series, {1: 10}, 0.1)
    assert filled[1].tolist() == [0.5, 0.1, 0.1] and filled[0].tolist() == [0.5, 0.6, 0.7]
    ax = style.new_figure(3, 2).subplots()
    curves.draw_curve(ax, filled, style.look("bn"), {1: 10})
    cross = ax.lines[-1]
    assert cross.get_marker() == "x" and cross.get_xdata()[0] == 10


def test_averaging_stays_within_a_seed():
    series = pd.DataFrame({0: [0.0, 1.0, 2.0, 3.0], 1: [4.0, 4.0, 8.0, 8.0]}, index=[0, 5, 10, 15])
    means = curves.averaged(series, 10)
    assert means[0].tolist() == [0.5, 2.5] and means[1].tolist() == [4, 8] and means.index.tolist() == [2.5, 12.5]


def test_a_last_stretch_of_one_record_is_not_drawn():
    series = pd.DataFrame({0: [0.0, 1.0, 2.0, 3.0, 9.0]}, index=[0, 5, 10, 15, 20])
    assert curves.averaged(series, 10)[0].tolist() == [0.5, 2.5, 9]
    assert curves.smoothed(series, 10)[0].tolist() == [0.5, 2.5]
    assert curves.smoothed(series.iloc[:4], 10)[0].tolist() == [0.5, 2.5]
    assert curves.smoothed(series, 1)[0].tolist() == series[0].tolist()
    assert curves.smoothed(series.iloc[:1], 10)[0].tolist() == [0]


def test_bands_need_eight_boundaries():
    ax = style.new_figure(3, 2).subplots()
    with pytest.raises(ValueError):
        bands.draw_bands(ax, np.arange(3), np.zeros((3, 7)), "#000000")
    frame = bands.draw_bands(ax, np.arange(3), np.tile(np.arange(8.0), (3, 1)), "#000000")
    assert frame.columns.tolist() == ["step", *(f"b{k}" for k in range(8))] and frame["b7"].tolist() == [7, 7, 7]


def test_a_ridge_is_a_density():
    edges, density = binned.densities(-2.0, 2.0, np.arange(64))
    assert (density * np.diff(edges)).sum() == pytest.approx(1)


@pytest.mark.parametrize("lo", [0.0, 3.5])
def test_a_distribution_of_one_value_is_a_spike(lo):
    edges, density = binned.densities(lo, lo, np.r_[5, np.zeros(63)])
    assert edges[0] < lo < edges[-1] and (density * np.diff(edges)).sum() == pytest.approx(1)


def test_a_wide_axis_shows_each_density_per_unit_of_itself():
    ax = style.new_figure(3, 2).subplots()
    rows = pd.DataFrame({"step": [0], "lo": [-200.0], "hi": [200.0], "counts": [np.ones(64)]})
    numbers = ridges.draw_ridges(ax, rows, "#000000", (-210, 210), wide=True)
    edges = np.linspace(-200, 200, 65)
    assert (numbers["density"].to_numpy() * np.diff(np.arcsinh(edges))).sum() == pytest.approx(1)
    assert ax.get_xscale() == "asinh"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["−100", "−1", "0", "1", "100"]


def test_a_wide_bin_is_flat_and_a_narrow_one_a_point_of_a_line():
    ax = style.new_figure(3, 2).subplots()
    table = pd.DataFrame({"step": [0], "lo": [0.0], "hi": [8.0], "counts": [np.array([6, 2, 0, 0])]})
    ridges.draw_ridges(ax, table, "#000000", (0.0, 8.0))
    ridges.draw_ridges(ax, table, "#000000", (0.0, 8000.0))
    wide, narrow = ax.lines[1], ax.lines[3]
    assert wide.get_xdata().tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
    height = ridges.OVERLAP
    assert wide.get_ydata() == pytest.approx([0, height, height, height / 3, height / 3, 0, 0, 0, 0, 0])
    assert narrow.get_xdata().tolist() == [0, 1, 3, 5, 7, 8]


def test_joining_bins_keeps_every_count():
    rows = pd.DataFrame({"step": [0], "lo": [0.0], "hi": [1.0], "counts": [np.arange(64)]})
    joined = ridges.coarser(rows)["counts"][0]
    assert len(joined) == 32 and joined.sum() == np.arange(64).sum() and joined[0] == 1


def test_limits_leave_out_only_tails():
    counts = np.zeros(64)
    counts[31:33] = 5000
    counts[0] = 1  # one value far out
    low, high = binned.common_limits(pd.DataFrame({"lo": [-100.0], "hi": [100.0], "counts": [counts]}))
    assert -6 < low < -2 and 2 < high < 6
    assert binned.common_limits(pd.DataFrame({"lo": [], "hi": [], "counts": []})) == (-1.0, 1.0)


def test_shown_steps_hold_the_first_and_the_last():
    assert ridges.spread_steps(list(range(100)), 5) == [0, 25, 50, 74, 99]
    assert ridges.spread_steps([3, 1], 5) == [1, 3]


def test_groups_leave_missing_seeds_out_and_average_logs_where_asked():
    ax = style.new_figure(3, 2).subplots()
    numbers = moments.draw_groups(ax, {"layer 2": {"bn": {0: 1.0, 1: 100.0, 2: np.nan}}}, log=True)
    mean = numbers[numbers["kind"] == "mean"].iloc[0]
    assert mean["value"] == pytest.approx(10) and mean["n"] == 2 and len(numbers) == 3


def test_published_numbers_are_thin_black_and_hollow():
    ax = style.new_figure(3, 2).subplots()
    drawn = overlay(ax, "santurkar2018", ("fig2", "train_acc_minibatch_pct", "bn"), style.look("bn"))
    mark(ax, {"bn": (0.0, 1.0), "plain": (0.0, 1e-9)}, below=1e-3)
    assert len(drawn) == len(ax.lines[0].get_xdata())
    for line in ax.lines:
        assert line.get_markerfacecolor() == "white"
        assert (line.get_color() if line.get_linestyle() != "None" else line.get_markeredgecolor()) == "#000000"
    assert ax.lines[2].get_marker() == "v" and ax.lines[2].get_ydata()[0] == 1e-3  # an arrow


def test_drawing_needs_no_torch_and_no_pyplot(no_torch):
    done = no_torch("import bnlab.plots.panels\nassert 'matplotlib.pyplot' not in sys.modules")
    assert done.returncode == 0, done.stderr


def statement(label, **more):
    return Part(label, "m", "a - b > 0", "units", 0.1, lambda runs: Measured({}, 0), **more)


def test_a_statement_is_named_with_every_claim_that_has_it():
    shared, own, beside = statement("shared"), statement("own"), statement("seen", beside=True)
    claims = [Claim("S0-01", "a", "S", "here", parts=(shared, own)), Claim("S3-02", "b", "S", "here", parts=(shared,))]
    claims.append(Claim("P1-01", "c", "S", "here", parts=(own, beside)))
    assert rows.claim_ids(claims) == {"shared": "S0-01, S3-02", "own": "S0-01, P1-01", "seen": "P1-01"}


def placed(ax):
    """Texts beside an axes and their boxes, in pixels, after layout."""
    drawing.settle(ax.get_figure(root=True))
    return {text.get_text(): text.get_window_extent() for text in ax.texts}


def check_rows(ax, labels, ids):
    """Every label and its claims stand left of the axes, beside their row, and on nothing else."""
    boxes = placed(ax)
    assert all(box.x1 <= ax.bbox.x0 and box.x0 >= 0 for box in boxes.values())
    found = list(boxes.values())
    assert not any(a.overlaps(b) for k, a in enumerate(found) for b in found[k + 1 :])
    joined = {text.replace("\n", " "): box for text, box in boxes.items()}
    for place, label in enumerate(labels):
        height = ax.transData.transform((1, -place))[1]
        assert abs((joined[label].y0 + joined[label].y1) / 2 - height) < 3
    assert set(ids) <= set(joined)


@style.styled
def test_labels_of_effects_stand_in_their_own_column():
    labels = [
        "short",
        "a statement of so many words that they cannot stand in one line beside axes of this width",
    ]
    verdicts = [
        Verdict("supported", 3.0, "u", (2.5, 90.0), 5, 5, label=labels[0], margin=0.1),
        Verdict("undecided", None, "u", None, 0, 5, label=labels[1], margin=0.1),
    ]
    figure, (above, below) = rows.row_figure(style.PAGE, [2, 2])
    for ax in (above, below):
        numbers = effects.draw_effects(ax, verdicts, {labels[0]: "S0-01, S3-02", labels[1]: "P1-01"}, scale=10)
        ax.set(title="effects", xlabel="units")
    drawing.small_print(figure, "words " * 40)
    assert numbers["effect"].tolist()[0] == 30 and numbers["high"].tolist()[0] == 900
    for ax in (above, below):
        check_rows(ax, labels, ["S0-01, S3-02", "P1-01"])


@style.styled
def test_labels_of_errors_stand_in_their_own_column_and_a_missing_statement_has_a_row():
    figure, (ax,) = rows.row_figure(style.PAGE, [3])
    found = {"one": [0.0, 1e-12], "none": [], "third": [1e-3]}
    numbers = errors.draw_errors(ax, found, dict.fromkeys(found, 1e-9), {"one": "S0-10", "third": "S3-03"})
    assert numbers["label"].tolist() == ["one", "third"] and numbers["n"].tolist() == [2, 1]
    check_rows(ax, list(found), ["S0-10", "S3-03"])


@pytest.mark.parametrize("name", ["article_code", "batch_renorm", "covariate_shift", "exact_identities",
    "learning_rates", "placement", "regularisation"])  # fmt: skip
def test_a_label_names_one_statement_of_an_experiment(name):
    """Figures find claims by it, and draw one of several margins. Statements that are read or counted are in none."""
    seen = {}
    for claim in load(name).claims:
        for one in claim.parts or getattr(claim.test, "statements", ()):
            if not isinstance(one, Documented) and getattr(one, "limit", 1) > 0:
                assert seen.setdefault(one.label, one.metric) == one.metric, (claim.id, one.label)
    assert seen
