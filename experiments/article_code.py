"""Do the articles' Keras programs run, do they do what the articles say, and do the frameworks agree?

Source: articles S1 (the call) and S2 (two programs), as printed; the installed Keras on its torch backend; Ioffe 2017
(algorithm 1). What the text alone settles is counted once; the rest is tried on 1,000 random batches in float32, in
which Keras's batch normalisation computes on torch.

Command: `pip install -c constraints.txt '.[keras]'`, then `bnlab reproduce article_code scale=laptop data=synthetic`
(about 2 minutes).

Expected: S1's call works on Keras 2 and on releases of Keras 3 since renorm came back to it; S2's dense program runs
and normalises behind the activation, against the article's own text; its convolutional program is no Python, and with
the comma classifies positions, not images; Keras and torch agree but for the moving variance. TensorFlow is not run:
its `tf.keras` has been Keras 3 since 2.16.

Tolerances and margins were fixed before the run that decides them. Nothing is statistical: n counts cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnlab.claims import Claim
from bnlab.exact import AllOf, Counterexample, Documented, Identity, measured_statements
from bnlab.plots.drawing import Drawing, finish
from bnlab.plots.statements import errors_figure
from bnlab.plots.style import styled

if TYPE_CHECKING:
    from bnlab.store import Runs

# Two ways of computing one thing in float32 differ by a few of its roundings, which are 6e-8 each.
FLOAT32 = 1e-5


def _same(label: str, name: str, beside: bool = False) -> Identity:
    return Identity(label, f"article/{name}", FLOAT32, beside)


def _none(label: str, name: str, beside: bool = False) -> Identity:
    """A count, or a yes as 0, that must be exactly 0."""
    return Identity(label, f"article/{name}", 0.0, beside, unit="")


def _some(label: str, name: str, beside: bool = False) -> Counterexample:
    """A count of what should not be there at all."""
    return Counterexample(label, f"article/{name}", 0.0, "", beside)


def _off(label: str, name: str, margin: float, beside: bool = False) -> Counterexample:
    return Counterexample(label, f"article/{name}", margin, "relative difference", beside)


def _claim(id: str, kind: str, source: str, says: str, tests: str, *statements) -> Claim:
    return Claim(id, says, kind, source, tests, test=AllOf(statements), figure="errors")


CLAIMS: tuple[Claim, ...] = (
    _claim(
        "S1-12", "D", "article S1, section Programming Implementation",
        "tf.keras.layers.BatchNormalization(axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, [...] "
        "renorm=False, renorm_clipping=None, renorm_momentum=0.99, **kwargs)",
        "The call beside the signature of the installed Keras.",
        _none("arguments of the call that this Keras lacks", "call_arguments_missing"),
        _none("values of the call that are not this Keras's defaults", "call_defaults_differ"),
        _none("the call builds such a layer (0 if so)", "call_builds"),
        _none("arguments that this Keras adds, besides synchronized", "call_arguments_added", beside=True),
        _none("of fused, virtual_batch_size, adjustment (Keras 2, in **kwargs) still taken", "removed_arguments_taken",
              beside=True),
        Documented("Keras 3.0 had taken renorm out: the call is an error there", "Keras issue 19857", beside=True),
        _same("this project's layer, given the call's arguments: the same outputs", "surface_output", beside=True),
        _same("its gradients are the same", "surface_gradients", beside=True),
        _same("its moving averages are the same", "surface_averages", beside=True),
    ),
    _claim(
        "S1-13", "D", "article S1, section Programming Implementation",
        "renorm=False, renorm_clipping=None, renorm_momentum=0.99",
        "The arguments of the installed Keras, and what the layer makes of them beside Ioffe 2017, algorithm 1.",
        _none("renorm arguments that this Keras lacks", "renorm_arguments_missing"),
        _same("renorm=True is algorithm 1: xhat r + d, from the averages before", "renorm_formula"),
        _same("unlike in algorithm 1, rmax sets no lower limit 1/rmax: rmin is 0", "renorm_r_unlimited_below",
              beside=True),
        Documented("Keras 3.0 had taken renorm out, a release of 2026 put it back",
                   "Keras issue 19857 and pull request 22047", beside=True),
    ),
    _claim(
        "S1-15", "D", "article S1, section Programming Implementation",
        "In programming implementation like in Keras we just add Batch normalization layer in our model to implement "
        "Batch normalization.",
        "A layer added to a Sequential behind Dense; three traps beside it.",
        _same("in training, the added layer standardises the weighted sums", "adding_normalises"),
        _none("a step of training moves its parameters and averages (0 if so)", "adding_trains"),
        _same("trap: the bias that Dense keeps is superfluous", "adding_bias_superfluous", beside=True),
        _same("trap: called for evaluation when new, it only divides by sqrt(1 + eps)", "adding_new_in_evaluation",
              beside=True),
        _some("trap: added behind Dense(activation=...), it stands before the activation: layers that do not",
              "dense_after_activation", beside=True),
    ),
    _claim(
        "S2-16", "X", "article S2, section 3.2",
        "With Keras, we can implement a really simple feed-forward Neural Network with Batch Norm as: [Dense(16, "
        "input_shape=(1,5), activation='relu'), BatchNormalization(), ...]",
        "The program as printed, beside the article's own text: just before the activation (S2-11), the bias removed "
        "(S2-12).",
        _some("each layer stands just before the activation: layers that do not", "dense_after_activation"),
        _off("the program's first block gives f(BN(w x)): off by", "dense_order", 0.05),
        _some("the bias in front of it is removed: biases kept", "dense_biases_kept"),
        _same("the program's first block gives BN(f(w x + b))", "dense_formula_as_printed", beside=True),
        _off("the program's biases are superfluous: without them off by", "dense_bias_matters", 0.01,
             beside=True),
        _none("it builds, with 96 + 64 + 544 + 128 + 66 = 898 parameters: off by", "dense_parameters", beside=True),
        _none("96 of them the moving averages: off by", "dense_non_trainable", beside=True),
        _none("input_shape=(1,5) makes tensors (N, 1, units) (0 if so)", "dense_rank_three", beside=True),
        _same("axes 0 and 1 of such tensors are normalised over together", "dense_statistics_over_positions",
              beside=True),
    ),
    _claim(
        "S2-27", "X", "article S2, section 4.1",
        "implementing Batch Norm in Convolutional Neural Networks is really easy using modern frameworks. [...] "
        "[Conv2D(32, (3,3), input_shape=(28, 28, 3) activation='relu'), ...]",
        "The program as printed; with the comma it lacks; with the Flatten it lacks.",
        _some("as printed it is Python: syntax errors", "conv_no_python"),
        _some("with the comma, an image gets a value for each of 2 classes: values beyond", "conv_outputs_too_many"),
        _some("each layer stands just before the activation: layers that do not", "conv_after_activation"),
        _none("with the comma, 896 + 128 + 9,248 + 128 + 66 = 10,466 parameters: off by", "conv_parameters",
              beside=True),
        _none("128 of them the moving averages: off by", "conv_non_trainable", beside=True),
        _none("its output is (N, 12, 12, 2) (0 if so)", "conv_output_a_map", beside=True),
        _none("with Flatten too, its last layer has 9,218 parameters: off by", "conv_flattened_last", beside=True),
        _none("and its output is (N, 2) (0 if so)", "conv_flattened_outputs", beside=True),
        _same("the same call as for dense layers normalises each map as one", "conv_one_statistic_per_map",
              beside=True),
    ),
    _claim(
        "S2-28", "D", "article S2, sections 3.2 and 4.1",
        "Keras, Tensorflow, or Pytorch. They come with the most commonly used methods [...]. It does the operation in "
        "the background, using the same function we used before",
        "Keras's layer beside torch's. Keras takes the variance as E[x^2] - E[x]^2, of which little is left in float32 "
        "where a mean is large. TensorFlow is not run here.",
        _same("in training, the same output", "frameworks_output"),
        _same("the same input gradient", "frameworks_input_gradient"),
        _same("the same gradients of gamma and beta", "frameworks_parameter_gradients"),
        _same("from the same averages, the same output in evaluation", "frameworks_evaluation"),
        _same("the same moving mean where Keras's momentum is 1 - torch's", "frameworks_moving_mean", beside=True),
        _off("the same moving mean where momentum is the same number: off by", "frameworks_same_momentum", 0.5,
             beside=True),
        _off("the same moving variance: off by (Keras biased, torch not)", "frameworks_moving_variance", 0.01,
             beside=True),
        _same("the same moving variance up to m/(m - 1)", "frameworks_moving_variance_over_m", beside=True),
        _off("the same output at means of 1,000 spreads: off by", "frameworks_large_mean", 1e-4, beside=True),
    ),
)  # fmt: skip


@styled
def draw(runs: Runs) -> Drawing:
    """Errors of what holds, and how far what does not misses, each over all its cases; counts are in the table."""
    errors = [statement for statement in measured_statements(CLAIMS) if statement.limit > 0]
    kinds = [[s for s in errors if isinstance(s, kind)] for kind in (Identity, Counterexample)]
    figure, panels, numbers = errors_figure(runs, CLAIMS, kinds)
    panels[0].set(title="what holds", xlabel="relative error")
    panels[1].set(title="what does not", xlabel="how far it misses")
    words = "Dots: median over cases; lines: least to largest. Grey: the tolerance (above), the margin (below). "
    return finish(figure, numbers, runs, words + "0 is drawn at 1e-17.")


FIGURES = {"errors": draw}
