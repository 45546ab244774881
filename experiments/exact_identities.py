"""Which sentences about batch normalisation are exactly true, and which are wrong as they are written?

Source: articles S0 to S3, Ioffe and Szegedy 2015 (algorithms 1 and 2), Santurkar et al. 2018 (theorem 4.1). Each fact
is tried on 1,000 random cases per seed in float64: batches of 3 to 64 values, 2 to 12 units, values from 0.01 to 100.

Command: `bnlab reproduce exact_identities` (under a minute on 2 cores).

Expected: identities miss by less than 1e-9, the rounding of float64; where an article's form is wrong, it misses by
what the statement says in every case. Nothing here is statistical, so there are no intervals; n counts cases.

Tolerances and margins were fixed before the runs that decide them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnlab.claims import Claim
from bnlab.exact import ROUNDING, AllOf, Counterexample, Documented, Identity, measured_statements
from bnlab.plots.drawing import Drawing, finish
from bnlab.plots.statements import errors_figure
from bnlab.plots.style import styled

if TYPE_CHECKING:
    from bnlab.store import Runs

_IOFFE = "Ioffe and Szegedy 2015"
# Central differences have an error of their own, about the square of their step.
DIFFERENCES = 1e-6


def _fact(label: str, name: str, tolerance: float = ROUNDING, beside: bool = False) -> Identity:
    return Identity(label, f"identity/{name}", tolerance, beside)


def _wrong(
    label: str, name: str, margin: float, unit: str = "relative difference", beside: bool = False
) -> Counterexample:
    return Counterexample(label, f"identity/{name}", margin, unit, beside)


FORMULA = _fact("gamma (x - mean)/sqrt(var + eps) + beta, over the batch, variance with 1/m", "formula")
MEAN = _fact("each unit's mean over the batch is beta", "output_mean")
STD = _fact("each unit's spread over the batch is |gamma| s/sqrt(s^2 + eps)", "output_std")
RECOVERY = _fact("gamma = sqrt(var + eps), beta = mean give the batch back", "identity_recovery")
CONSTANT = _fact("a constant unit comes out as beta, with finite gradients, for eps > 0", "constant_unit")
BIAS = _fact("a bias before the layer does not change its output", "bias_cancels")
BIAS_GRADIENT = _fact("the gradient with respect to that bias is 0", "bias_gradient")
CONV = _fact("a map's statistics are those of its (N H W, C) values", "conv_is_dense")
CONV_COUNT = _fact("one gamma, one beta, one running mean and variance per channel (0 if so)", "conv_parameters")
EPS_OUTSIDE = _wrong("std + eps for sqrt(var + eps): scale too large by, at std 0.01, eps 1e-3", "eps_outside", 0.1)
ONE_STEP = _wrong(
    "mean or spread of the layer's output after one step on gamma and beta: moves by", "one_step_later", 0.01, ""
)
WITHIN = (
    _fact("within one step: the normalised sums of each unit have mean beta", "output_mean", beside=True),
    _fact("within one step: their spread is |gamma| s/sqrt(s^2 + eps)", "output_std", beside=True),
)
NEXT_INPUT = (
    _wrong("the next layer's input behind ReLU is centred on 0: its mean is off by", "after_relu", 0.2, ""),
    _wrong("the next layer's input behind a sigmoid has spread 1: short of it by", "after_sigmoid", 0.2, ""),
)
BETWEEN = _fact("in bnlab's block it stands between weighted sum and activation", "between_sum_and_activation")


def _claim(id: str, kind: str, source: str, says: str, tests: str, *statements) -> Claim:
    return Claim(id, says, kind, source, tests, test=AllOf(statements), figure="errors")


CLAIMS: tuple[Claim, ...] = (
    _claim(
        "S0-08", "D", "article S0, section Logits Layer",
        "It is raw weighted sums+bias. There is the input into the activation functions.",
        "The usual meaning of logits is the input of the final softmax only; every hidden layer has pre-activations.",
        Documented("a net's inputs to its activations are called logits", "the article; usage elsewhere is the softmax "
                   "input only, so this project calls them preact", holds=True),
    ),
    _claim(
        "S0-09", "X", "article S0, section Batch Normalization",
        "Batch Normalization normalizes the activations but in a smart way to make sure that the 'N' inputs of the "
        "next layer are properly centered and scaled.",
        "What is centred and scaled is the activation's input; the next layer gets the activation's output.",
        *NEXT_INPUT,
        *WITHIN,
    ),
    _claim(
        "S0-10", "E", "article S0, section Batch Normalization",
        "It works on batches so we have 100 images and labels in each batch on those batches. It is possible to "
        "compute statistics for the logits.",
        "Statistics of each unit over the batch, as algorithm 1 writes them, beside torch's kernel.",
        FORMULA,
    ),
    _claim(
        "S0-11", "X", "article S0, section Batch Normalization",
        "rescale and recenter those values by subtracting the average and dividing by the standard deviation. The "
        "+epsilon is for numerical stability",
        "The article's (x - mean)/(std + eps) beside sqrt(var + eps), which the paper and the libraries use.",
        EPS_OUTSIDE,
        _fact("with eps under the root the formula is exact", "formula", beside=True),
    ),
    _claim(
        "S0-12", "E", "article S0, section Batch Normalization",
        "The +epsilon is for numerical stability to avoid doing divisions by 0.",
        "Units that are constant over the batch, with eps and without.",
        CONSTANT,
        _fact("written out without eps, a constant unit gives no number (0 if so)", "constant_unit_gives_number",
              beside=True),
    ),
    _claim(
        "S0-13", "E", "article S0, section Batch Normalization",
        "We need to do something to preserve the full expressiveness of our model [...] once you have rescaled your "
        "logit you scale them back using learnable parameters alpha and beta.",
        "A choice of the two parameters gives the batch back.",
        RECOVERY,
    ),
    _claim(
        "S0-14", "E", "article S0, section Batch Normalization",
        "You simply add two additional degrees of freedom per neuron call alpha and beta scalar and an offset factor",
        "Parameters of torch's layer; what becomes of the bias.",
        _fact("the layer has two parameters per neuron (0 if so)", "dense_parameters"),
        _fact("the bias it makes superfluous left out, one more than before (0 if so)", "dense_parameters_in_all",
              beside=True),
        _fact("a bias that is kept has no effect in training", "bias_cancels", beside=True),
    ),
    _claim(
        "S0-15", "D", "article S0, section Batch Normalization",
        "Batch normalization is added as simply a layer between your weighted sums and your activation function.",
        "What a tap sees before and behind the layer.",
        BETWEEN,
    ),
    _claim(
        "S0-16", "E", "article S0, section Batch Normalization",
        "The backpropagation and the gradient with the gradient computation will still work normally that's the beauty "
        "of it.",
        "autograd beside the closed form and beside central differences.",
        _fact("input gradient: gamma/(m s) (m g - sum g - xhat sum(g xhat))", "input_gradient"),
        _fact("gradient along a random direction: central differences", "directional_derivative", DIFFERENCES),
        _fact("gradients of gamma and beta: sum(g xhat), sum g", "parameter_gradients"),
        _fact("input gradients of a unit sum to 0", "gradient_sums_to_zero", beside=True),
        _fact("for eps = 0 they are orthogonal to xhat", "gradient_orthogonal_to_xhat", beside=True),
        _fact("theorem 4.1 of Santurkar et al. 2018 holds as an equality", "gradient_norm", beside=True),
    ),
    _claim(
        "S0-24", "E", "article S0, section Convolutional Batch Normalization",
        "in a convolutional layer you need to compute status to do statistics on all the images in the batch and all "
        "the positions in X and Y of your neurons.",
        "Maps (N, C, H, W) beside the dense layer on their values.",
        CONV,
    ),
    _claim(
        "S0-25", "E", "article S0, section Convolutional Batch Normalization",
        "you still have one scale factor and one offset factor per neuron just as you had one bias factor per neuron "
        "previously.",
        "Parameters and running statistics of torch's layer; a neuron of a convolution is a channel.",
        CONV_COUNT,
    ),
    _claim(
        "S0-26", "E", "article S0, section Convolutional Batch Normalization",
        "It's just the computations of the stats that is different",
        "Everything but the statistics' axes is the dense layer's.",
        CONV,
        _fact("a shifted map comes out shifted", "conv_moves_with_its_input", beside=True),
    ),
    _claim(
        "S1-03", "D", "article S1, section Batch Normalization",
        "It is applied to layers that we choose within our network.",
        "Two blocks of which one is normalised: only its sums are standardised.",
        _fact("the chosen layer is normalised, the other is not", "chosen_layers_only"),
    ),
    _claim(
        "S1-09", "E", "article S1, section Batch Normalization",
        "This Normalization is called Batch normalization because it occurs on a per-batch basis.",
        "An image of the batch is exchanged: others' outputs move in training, and stay in evaluation.",
        _fact("in training, another image's output moves by 1 % or more (0 if so)", "others_stay"),
        _fact("in evaluation it stays", "others_do_not_matter_in_evaluation", beside=True),
    ),
    _claim(
        "S1-10", "E", "article S1, section Mathematical Implementation",
        "mini-batch mean; mini-batch variance; normalized x; scaled and shifted value that represent final batch "
        "normalization result; trainable parameters gamma and beta",
        "Algorithm 1 beside torch's kernel; the variance is the one with 1/m.",
        FORMULA,
        _wrong("with 1/(m - 1) inside the layer: misses by", "unbiased_formula", 1e-3, beside=True),
        _fact("the running variance is the one with 1/(m - 1) (algorithm 2)", "running_variance", beside=True),
    ),
    _claim(
        "S2-02", "D", "article S2, section 2",
        "Normalization is a pre-processing technique used to standardize data. In other words, having different "
        "sources of data inside the same range.",
        "A definition; its two methods are tested by input_scaling.",
        Documented("normalisation of inputs is defined so", "article S2, section 2"),
    ),
    _claim(
        "S2-10", "X", "article S2, section 3",
        "Following the technique explained in the previous section, we can define the normalization formula of Batch "
        "Norm as: [(z - m_z)/s_z] being the mean of the neurons' output and the standard deviation of the neurons' "
        "output.",
        "The formula leaves eps out, and names no batch: it must read the mean of each neuron's output over the batch.",
        _wrong("eps left out: scale too large by, at std 0.01, eps 1e-3", "eps_left_out", 0.1),
        _wrong("mean and spread over the neurons: differs from the layer by", "over_neurons", 0.05),
        _fact("with eps, over the batch, the formula is exact", "formula", beside=True),
    ),
    _claim(
        "S2-11", "D", "article S2, section 3.1",
        "Batch Norm [...] is applied to the neurons' output just before applying the activation function.",
        "What a tap sees; the article's own program does otherwise (article_code).",
        BETWEEN,
    ),
    _claim(
        "S2-12", "E", "article S2, section 3.1",
        "Usually, a neuron without Batch Norm would be computed as follows: [z = g(w, x) + b; a = f(z)] [...] Adding "
        "Batch Norm, it looks as: [z = g(w, x); z_N = (z - m_z)/s_z gamma + beta; a = f(z_N)]",
        "The two forms as bnlab's blocks compute them.",
        _fact("sum, normalisation, activation in this order", "between_sum_and_activation"),
        _fact("the formula of the normalisation, with eps", "formula"),
    ),
    _claim(
        "S2-13", "E", "article S2, section 3.1",
        "Note that the bias of the neurons (b) is removed. This is because as we subtract the mean, any constant over "
        "the values of z can be ignored as it will be subtracted by itself.",
        "A bias before the layer: output and gradient in training; evaluation beside it.",
        BIAS,
        BIAS_GRADIENT,
        _wrong("a bias added after training changes nothing in evaluation: moves the output by", "bias_after_training",
               1e-5, beside=True),
    ),
    _claim(
        "S2-14", "E", "article S2, section 3.1",
        "The parameters gamma and beta shift the mean and standard deviation, respectively. Thus, the outputs of Batch "
        "Norm over a layer results in a distribution with a mean beta and a standard deviation of gamma.",
        "Mean and spread of the output over the batch; the spread is |gamma| only up to eps.",
        MEAN,
        STD,
    ),
    _claim(
        "S2-15", "D", "article S2, section 3.1",
        "These values are learned over epochs and the other learning parameters, such as the weights of the neurons, "
        "aiming to decrease the loss of the model.",
        "gamma and beta are parameters with gradients like any other; they move with every step, not every epoch.",
        _fact("their gradients are sum(g xhat) and sum g", "parameter_gradients"),
    ),
    _claim(
        "S2-18", "D", "article S2, section 3.3",
        "in their original paper Sergey et al. claim that Batch Norm reduces the internal covariate shift of the "
        "network.",
        "What the paper says; whether it does so is tested by ics_vgg and ics_gradient.",
        Documented("the paper claims so", f"{_IOFFE}, abstract and section 3"),
    ),
    _claim(
        "S2-20", "D", "article S2, section 3.3",
        "The internal covariate shift is a change in the input distribution of an internal layer of a Neural Network.",
        "The definition of the 2015 paper: change in the distribution of activations due to the change of parameters "
        "during training.",
        Documented("the definition agrees with the paper's", f"{_IOFFE}, section 2"),
    ),
    _claim(
        "S2-21", "X", "article S2, section 3.3",
        "Applying Batch Norm ensures that the mean and standard deviation of the layer inputs will always remain the "
        "same; beta and gamma, respectively.",
        "One step of training moves beta and gamma, and with them the statistics; the layer's input lies behind the "
        "activation.",
        ONE_STEP,
        *NEXT_INPUT,
        *WITHIN,
    ),
    _claim(
        "S2-25", "E", "article S2, section 4",
        "the parameters used to normalize are calculated along with each entire feature map. [...] Here, each feature "
        "map will have a single mean and standard deviation, used on all the features it contains.",
        "Maps beside the dense layer on their values; numbers per channel.",
        CONV,
        CONV_COUNT,
    ),
    _claim(
        "S2-26", "E", "article S2, section 4",
        "In a regular Batch Norm, each feature would have a different mean and standard deviation.",
        "Statistics of every position by itself: a shifted map no longer comes out shifted.",
        _fact("the dense layer breaks the convolution's equivariance by 5 % or more (0 if so)", "per_position_moves"),
        _fact("the convolutional one keeps it", "conv_moves_with_its_input", beside=True),
    ),
    _claim(
        "S3-04", "X", "article S3, introduction",
        "The new layer performs the standardizing and normalizing operations on the input of a layer coming from a "
        "previous layer.",
        "It standardises W u, the weighted sums, not u, the layer's input.",
        _wrong("the layer's input u gets mean 0 and spread 1: off by", "input_not_standardised", 0.05, ""),
        _fact("the weighted sums of each unit do get mean beta", "output_mean", beside=True),
    ),
    _claim(
        "S3-05", "D", "article S3, introduction",
        "Similarly, the normalizing process in batch normalization takes place in batches, not as a single input.",
        "Outputs depend on the batch; of a batch of one dense value nothing is left but beta.",
        _fact("in training, another image's output moves by 1 % or more (0 if so)", "others_stay"),
        _fact("a batch of one dense value comes out as beta", "batch_of_one", beside=True),
    ),
    _claim(
        "S3-08", "E", "article S3, section How does Batch Normalization work?",
        "It is a two-step process. First, the input is normalized, and later rescaling and offsetting is performed.",
        "The two steps one after the other beside torch's kernel.",
        FORMULA,
    ),
    _claim(
        "S3-09", "X", "article S3, section Normalization of the Input",
        "Here, m is the number of neurons at layer h.",
        "m is the size of the batch. Over the neurons of one image the same formula is layer normalisation.",
        _wrong("statistics over the neurons of an image: differ from the layer by", "over_neurons", 0.05),
        _fact("over the neurons it is layer normalisation", "over_neurons_is_layer_norm", beside=True),
        _fact("over the batch the formula is exact", "formula", beside=True),
    ),
    _claim(
        "S3-10", "E", "article S3, section Normalization of the Input",
        "the next step is to calculate the standard deviation of the hidden activations.",
        "The spread over the batch with 1/m, as the kernel divides by it.",
        FORMULA,
    ),
    _claim(
        "S3-11", "X", "article S3, section Normalization of the Input",
        "we will subtract the mean from each input and divide the whole value with the sum of standard deviation and "
        "the smoothing term (eps).",
        "(x - mean)/(std + eps) beside sqrt(var + eps).",
        EPS_OUTSIDE,
        _fact("with eps under the root the formula is exact", "formula", beside=True),
    ),
    _claim(
        "S3-12", "E", "article S3, section Normalization of the Input",
        "The smoothing term (eps) assures numerical stability within the operation by stopping a division by a zero "
        "value.",
        "Units that are constant over the batch.",
        CONSTANT,
    ),
    _claim(
        "S3-13", "E", "article S3, section Rescaling of Offsetting",
        "These parameters are used for re-scaling (gamma) and shifting (beta) of the vector containing values from the "
        "previous operations.",
        "Mean and spread of the output.",
        MEAN,
        STD,
    ),
    _claim(
        "S3-16", "X", "article S3, section Handles internal covariate shift",
        "It solves the problem of internal covariate shift. Through this, we ensure that the input for every layer is "
        "distributed around the same mean and standard deviation.",
        "As S2-21; the same article says below that the problem is not solved (S3-18).",
        ONE_STEP,
        *NEXT_INPUT,
        *WITHIN,
    ),
    _claim(
        "S3-18", "D", "article S3, section Internal covariate shift",
        "However, according to a study by MIT researchers, the batch normalization does not solve the problem of "
        "internal covariate shift.",
        "What the study says; whether it is so is tested by ics_vgg and ics_gradient.",
        Documented("the study says so", "Santurkar, Tsipras, Ilyas and Madry 2018, abstract and section 2"),
    ),
)  # fmt: skip


@styled
def draw(runs: Runs) -> Drawing:
    """Errors of the identities, and how far the wrong forms miss, each over all its cases."""
    statements = measured_statements(CLAIMS)
    kinds = [[s for s in statements if isinstance(s, kind)] for kind in (Identity, Counterexample)]
    figure, panels, numbers = errors_figure(runs, CLAIMS, kinds)
    panels[0].set(title="statements that hold", xlabel="relative error")
    panels[1].set(title="forms that do not", xlabel="how far they miss")
    words = "Dots: median over cases; lines: least to largest. Grey: the tolerance (above), the margin (below). "
    return finish(figure, numbers, runs, words + "Errors below 1e-17 are drawn there.")


FIGURES = {"errors": draw}
