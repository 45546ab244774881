"""Loss and accuracy along the training: of the mini-batch, of the training subset, and of the test set.

The numbers of the mini-batch are those of the training step itself. The others are taken in evaluation mode, with the
weights of that step and the running statistics as they stand after its forward pass.
"""

from __future__ import annotations

from torch import Tensor

from bnlab.config import RunConfig
from bnlab.norms import noise_off
from bnlab.probes.evaluation import accuracy, evaluate
from bnlab.probes.probe import Measurement, Moment, Probe, due_steps, to_floats
from bnlab.probes.recalibration import recalibrate


def measure(moment: Moment) -> Measurement:
    """Yields `curves/{train,full,test}_{loss,accuracy}`, and for noisy batch normalisation accuracies without noise.

    `curves/{full,test}_accuracy_recalibrated` are those of the net without its noise, on running statistics that are
    re-estimated without it: statistics gathered under noise misjudge the net that is evaluated.
    """
    chosen = moment.config.probe.curves
    numbers: dict[str, Tensor] = {}
    if moment.is_due(chosen.cadence):
        numbers["curves/train_loss"] = moment.loss
        numbers["curves/train_accuracy"] = accuracy(moment.logits, moment.y)
    if _evaluates(moment):
        for name, (loss, right) in _full_and_test(moment).items():
            numbers |= {f"curves/{name}_loss": loss, f"curves/{name}_accuracy": right}
        if moment.config.norm.name == "noisy_batch":
            with noise_off(moment.model):
                recalibrate(moment.model, moment.data.train, moment.config.batch_size)
                for name, (_, right) in _full_and_test(moment).items():
                    numbers[f"curves/{name}_accuracy_recalibrated"] = right
    yield None
    yield to_floats(numbers)


def _full_and_test(moment: Moment) -> dict[str, tuple[Tensor, Tensor]]:
    images = moment.config.probe.curves.full_images
    return {
        "full": evaluate(moment.model, moment.data.train, images),
        "test": evaluate(moment.model, moment.data.test, len(moment.data.test)),
    }


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    chosen = config.probe.curves
    batch = due_steps(chosen.cadence, config.steps, steps_per_epoch)
    return batch | due_steps(chosen.full, config.steps, steps_per_epoch)


def _evaluates(moment: Moment) -> bool:
    return moment.is_due(moment.config.probe.curves.full)


CURVES = Probe("curves", _due, measure, runs_net=_evaluates)
