"""Loss along the training, and accuracy where there are classes: of the mini-batch, of the training subset, of the test
set.

The numbers of the mini-batch are those of the training step itself. The others are taken in evaluation mode, with the
weights of that step and the running statistics as they stand after its forward pass; but for one accuracy, whose
test images are normalised batch by batch, as those of the training are.
"""

from __future__ import annotations

from torch import Tensor

from bnlab.config import RunConfig
from bnlab.losses import LOSSES
from bnlab.norms import noise_off
from bnlab.probes.evaluation import accuracy, accuracy_by_batch, evaluate
from bnlab.probes.probe import Measurement, Moment, Probe, due_steps, to_floats
from bnlab.probes.recalibration import recalibrate


def measure(moment: Moment) -> Measurement:
    """Yields `curves/{train,full,test}_{loss,accuracy}`, and for noisy batch normalisation accuracies without noise.

    `curves/test_accuracy_by_batch` takes the statistics of batches of test images that are built like those of
    training.

    `curves/{full,test}_accuracy_recalibrated` are those of the net without its noise, on running statistics that are
    re-estimated without it: statistics gathered under noise misjudge the net that is evaluated.
    """
    chosen = moment.config.probe.curves
    classifies = LOSSES[moment.config.loss].classifies
    numbers: dict[str, Tensor] = {}
    if moment.is_due(chosen.cadence):
        numbers["curves/train_loss"] = moment.loss
        if classifies:
            numbers["curves/train_accuracy"] = accuracy(moment.logits, moment.y)
    if classifies and moment.is_due(chosen.by_batch):
        numbers["curves/test_accuracy_by_batch"] = accuracy_by_batch(moment.model, moment.data.test, moment.config)
    if moment.is_due(chosen.full):
        for name, (loss, right) in _full_and_test(moment).items():
            numbers[f"curves/{name}_loss"] = loss
            if right is not None:
                numbers[f"curves/{name}_accuracy"] = right
        if moment.config.norm.name == "noisy_batch" and classifies:
            with noise_off(moment.model):
                recalibrate(moment.model, moment.data.train, moment.config.batch_size)
                for name, (_, right) in _full_and_test(moment).items():
                    numbers[f"curves/{name}_accuracy_recalibrated"] = right
    yield None
    yield to_floats(numbers)


def _full_and_test(moment: Moment) -> dict[str, tuple[Tensor, Tensor | None]]:
    images, loss = moment.config.probe.curves.full_images, LOSSES[moment.config.loss]
    return {
        "full": evaluate(moment.model, moment.data.train, images, loss),
        "test": evaluate(moment.model, moment.data.test, len(moment.data.test), loss),
    }


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    chosen = config.probe.curves
    every = (due_steps(c, config.steps, steps_per_epoch) for c in (chosen.cadence, chosen.full, chosen.by_batch))
    return frozenset().union(*every)


def _evaluates(moment: Moment) -> bool:
    chosen = moment.config.probe.curves
    return moment.is_due(chosen.full) or moment.is_due(chosen.by_batch)


CURVES = Probe("curves", _due, measure, runs_net=_evaluates)
