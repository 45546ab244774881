"""Rules between the groups of a run, each of which would accept its own values.

Errors of each: BadInput, with the key to change.
"""

from __future__ import annotations

from bnlab.config.data import IMAGE_SIZES, REGRESSIONS, DataConfig
from bnlab.config.model import DENSE, ModelConfig, hidden_layers
from bnlab.config.norm import NormConfig
from bnlab.config.probe import ProbeConfig
from bnlab.ranges import refuse


def check_batches(batch_size: int, data: DataConfig) -> None:
    classes = data.batch_classes
    if classes and batch_size % classes:
        refuse("batch_size", batch_size, f"must be a multiple of data.batch_classes={classes}, which share it")


def check_layers(model: ModelConfig, probe: ProbeConfig) -> None:
    blocks = hidden_layers(model)
    for name in ("activations", "moments", "ics"):
        layers = getattr(probe, name).layers
        if any(layer > blocks for layer in layers):
            rule = f"there is no layer {max(layers)}; {model.name} has {blocks} hidden layers"
            refuse(f"probe.{name}.layers", list(layers), rule)


def check_regression(procedure: str, data: DataConfig, loss: str, model: ModelConfig) -> None:
    """Vectors are fitted by least squares in dense layers, classes by cross-entropy."""
    regression = data.name in REGRESSIONS
    fits = "half_squares" if regression else "cross_entropy"
    if procedure != "train" and regression:
        refuse("data", data.name, f"procedure={procedure} has no use for it; choose another set")
    if loss != fits:
        refuse("loss", loss, f"data={data.name} has {'vectors' if regression else 'classes'}; use {fits}")
    if regression and model.name not in ("mlp", "deep_linear"):
        refuse("model", model.name, f"data={data.name} has no images; use deep_linear or mlp")


def check_vgg(model: ModelConfig, data: DataConfig) -> None:
    """Five poolings leave nothing of images below 32 x 32, and there is no hidden dense layer to drop units of."""
    if not model.name.startswith("vgg"):
        return
    if model.dropout:
        refuse("model.dropout", model.dropout, f"{model.name} has no hidden dense layer; use 0")
    size = data.size or IMAGE_SIZES[data.name]
    if size < 32:
        refuse("model", model.name, f"needs images of 32 x 32, these are {size} x {size}; add data.size=32")


def check_statistics(norm: NormConfig, model: ModelConfig, batch_size: int) -> None:
    """Every statistic needs at least two values, and ghost batches have to divide the batch."""
    dense = model.name in DENSE
    if norm.name == "instance" and dense:
        refuse("norm.name", "instance", f"{model.name} has dense layers, whose units have one value per image")
    if not norm.uses_batch_statistics:
        return
    if batch_size % (norm.ghost_size or 1):
        fits = max(size for size in range(1, norm.ghost_size) if batch_size % size == 0)
        refuse("norm.ghost_size", norm.ghost_size, f"must divide batch_size={batch_size}, as {fits} does")
    key = "norm.ghost_size" if norm.ghost_size else "batch_size"
    if dense and (norm.ghost_size or batch_size) == 1:
        refuse(key, 1, "batch normalisation of dense units has no variance over one image; use 2 or more")
