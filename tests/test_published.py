"""The published curves say what facts of the papers are quoted from them."""

import subprocess
import sys

import numpy as np
import pytest

from bnlab import published
from bnlab.errors import BadInput


def test_every_measured_point_is_there():
    counted = {
        source: sum(len(published.curve(source, *key)[0]) for key in published.keys(source))
        for source in published.CREDIT
    }
    assert counted == {"santurkar2018": 9_879, "ioffe2015": 1_341}


@pytest.mark.parametrize(
    ("series", "early", "late"), [("standard", 57.1, 99.3), ("bn", 79.6, 98.8), ("noisy_bn", 75.2, 98.05)]
)
def test_the_order_of_figure_2_turns_round(series, early, late):
    key = ("santurkar2018", "fig2", "train_acc_minibatch_pct", series)
    assert published.window_mean(*key, 0, 3_000) == pytest.approx(early, abs=0.05)
    assert published.window_mean(*key, 10_000, 15_000) == pytest.approx(late, abs=0.05)


@pytest.mark.parametrize(("layer", "standard", "noisy"), [(2, 0.032, 0.269), (9, 0.065, 0.268), (13, 0.013, 0.345)])
def test_medians_of_figure_8(layer, standard, noisy):
    def median(series):
        return published.median_every("santurkar2018", "fig8a", f"abs_dmean_layer{layer}", series, 100)

    assert median("standard") == pytest.approx(standard, abs=0.003)
    assert median("noisy_bn") == pytest.approx(noisy, abs=0.003)
    assert median("bn") < 0.003


def test_steps_rise_and_values_are_finite():
    for source in published.CREDIT:
        for key in published.keys(source):
            steps, values = published.curve(source, *key)
            assert (np.diff(steps) >= 0).all() and np.isfinite(values).all(), key


def test_a_curve_cannot_be_changed_by_a_reader():
    with pytest.raises(ValueError):
        published.curve("ioffe2015", "fig1a", "test_acc", "with_bn")[1][0] = 0.0


@pytest.mark.parametrize("source, series", [("santurkar2019", "bn"), ("santurkar2018", "batchnorm")])
def test_an_unknown_curve_is_one_line(source, series):
    with pytest.raises(BadInput) as error:
        published.curve(source, "fig2", "train_acc_minibatch_pct", series)
    assert len(str(error.value)) <= 240 and "\n" not in str(error.value)


def test_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; from bnlab import published; published.keys('ioffe2015')"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
