"""The articles' Keras programs: what is measured of them, that a mended one measures otherwise, and a missing Keras."""

from __future__ import annotations

import pytest
import torch

from bnlab import experiment, procedures
from bnlab.config import RunConfig
from bnlab.exact import Counterexample, Identity, measured_statements
from bnlab.procedures import article_code
from bnlab.procedures.article_code import conv, dense, layer, programs
from bnlab.procedures.article_code.keras_on_torch import load_keras
from bnlab.store import read_status

ROWS = 4
RUN = (
    "from pathlib import Path; from bnlab.config import RunConfig; from bnlab.running import run_one\n"
    "config = RunConfig(experiment='article_code', procedure='article_code', variant='bn', steps=3)\n"
)


@pytest.fixture(scope="module")
def rows() -> list[tuple[int, dict[str, float]]]:
    return list(procedures.measure(RunConfig(procedure="article_code", steps=ROWS)))


@pytest.mark.keras
def test_a_row_per_case_and_what_is_printed_once(rows):
    assert [step for step, _ in rows] == list(range(ROWS))
    printed, facts = ({f"article/{name}" for name in names} for names in (article_code.PRINTED, article_code.FACTS))
    assert [{*values} for _, values in rows] == [printed | facts, *[facts] * (ROWS - 1)]
    assert list(procedures.measure(RunConfig(procedure="article_code", steps=2))) == rows[:2]


@pytest.mark.keras
def test_every_statement_keeps_its_limit_and_none_is_left_over(rows):
    statements = {s.metric: s for s in measured_statements(experiment.load("article_code").claims)}
    assert {*statements} == {*rows[0][1]}
    for metric, statement in statements.items():
        values = [row[metric] for _, row in rows if metric in row]
        if isinstance(statement, Identity):
            assert max(values) <= statement.tolerance, metric
        else:
            assert isinstance(statement, Counterexample) and min(values) > statement.margin, metric


MENDED = """\
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Activation, BatchNormalization, Dense, Input
model = Sequential([
Input((1, 5)), Dense(16, use_bias=False), BatchNormalization(), Activation('relu'), Dense(2, activation='softmax')
])
"""


@pytest.mark.keras
def test_a_program_in_the_order_of_the_paper_has_none_of_the_faults(monkeypatch):
    model = programs.make_model(MENDED)
    monkeypatch.setattr(dense, "_printed", lambda: model)
    assert (dense.dense_after_activation(), dense.dense_biases_kept()) == (0, 0)
    assert dense.dense_parameters() == 898 - (5 * 16 + 4 * 16 + 16 * 2 + 2)


@pytest.mark.keras
def test_a_program_with_the_comma_and_the_flatten_has_none_of_the_faults(monkeypatch):
    monkeypatch.setattr(conv, "CONV", programs.CONV_WITH_COMMA)
    monkeypatch.setattr(conv, "_mended", conv._flattened)
    assert (conv.conv_no_python(), conv.conv_outputs_too_many()) == (0, 0)
    assert conv.conv_parameters() == 9218 - 66


@pytest.mark.keras
@pytest.mark.parametrize(
    ("wrong", "fact"),
    [
        ({"momentum": 0.8}, layer.frameworks_moving_mean),
        ({"epsilon": 1.0}, layer.frameworks_output),
        ({"renorm_clipping": {"rmax": 1.0}}, layer.renorm_formula),
    ],
)
def test_a_wrong_layer_is_found_out(monkeypatch, wrong, fact):
    right = load_keras().layers.BatchNormalization
    monkeypatch.setattr(load_keras().layers, "BatchNormalization", lambda **arguments: right(**{**arguments, **wrong}))
    assert fact(article_code.draw_case(torch.Generator().manual_seed(3))) > 1e-3


@pytest.mark.keras
def test_a_run_tells_the_version_and_leaves_home_and_environment_alone(isolated, tmp_path):
    code = RUN + (
        "import os, sys\n"
        "from bnlab.running import describe_environment\n"
        "version = describe_environment(config, 'cpu')['keras']\n"
        "before = dict(os.environ); assert 'keras' not in sys.modules\n"
        f"print(run_one(config, Path({str(tmp_path)!r}) / 'run/0-s0', {{}}))\n"
        "import keras; assert (keras.__version__, keras.backend.backend()) == (version, 'torch')\n"
        "assert dict(os.environ) == before\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    done = isolated(code, env={"HOME": str(home), "KERAS_BACKEND": "jax"})
    assert done.stdout.split() == ["done"], done.stderr
    assert not (home / ".keras").exists()
    assert read_status(tmp_path / "run/0-s0").environment["keras"]


def test_without_keras_the_run_fails_in_one_line_that_names_the_extra(isolated, tmp_path):
    code = RUN + (
        "from bnlab.errors import EnvironmentFault\n"
        f"try:\n    run_one(config, Path({str(tmp_path)!r}) / 'run/0-s0', {{}})\n"
        "except EnvironmentFault as fault:\n    print(fault)\n"
    )
    done = isolated(code, block=("keras",))
    line = "procedure=article_code needs Keras, which is not installed: pip install 'bnlab[keras]'"
    assert done.stdout.splitlines() == [line], done.stderr
    status = read_status(tmp_path / "run/0-s0")
    assert (status.state, status.error) == ("failed", line)


def test_a_keras_of_another_backend_is_refused(isolated):
    code = (
        "import sys, types\n"
        "sys.modules['keras'] = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: 'jax'))\n"
        "from bnlab.procedures.article_code.keras_on_torch import load_keras\n"
        "from bnlab.errors import EnvironmentFault\n"
        "try:\n    load_keras()\nexcept EnvironmentFault as fault:\n    print(fault)\n"
    )
    done = isolated(code)
    assert "runs on jax here" in done.stdout, done.stderr


def test_the_comma_is_all_that_keeps_the_program_from_being_python():
    with pytest.raises(SyntaxError):
        compile(programs.CONV, "article", "exec")
    compile(programs.CONV_WITH_COMMA, "article", "exec")
    assert programs.CONV_WITH_COMMA.replace(",", "") == programs.CONV.replace(",", "")
    assert programs.CONV_WITH_FLATTEN.count("Flatten") == 2


@pytest.mark.keras
def test_loading_keras_does_not_cost_a_caller_its_stderr(isolated):
    """As it did where submitit, which configures logging anew, was imported after Keras under a captured stderr."""
    code = (
        "import io, logging.config\n"
        "sys.stderr = caught = io.StringIO()\n"
        "from bnlab.procedures.article_code.keras_on_torch import load_keras\n"
        "load_keras()\n"
        "sys.stderr = sys.__stderr__\n"
        "logging.config.dictConfig({'version': 1})\n"
        "print(caught.closed)"
    )
    done = isolated(code)
    assert done.stdout.split()[-1:] == ["False"], done.stderr
