"""What is trained in the measurements: a net, its data, and how often a run of it measures."""

from __future__ import annotations

import dataclasses

from bnlab.config import CurvesConfig, DataConfig, ModelConfig, NormConfig, OptimConfig, ProbeConfig, RunConfig

# Default probes, with the evaluations on the training subset and the test set aside.
PROBES = ProbeConfig(curves=CurvesConfig(full="never"))


@dataclasses.dataclass(frozen=True)
class Workload:
    """`target`: how many times the throughput of the usual loop is wanted, None where only the other two count.

    `turn`: steps of one turn. The steps of `config` are those of a real run: they say how often probes are due.
    """

    name: str
    target: float | None
    turn: int
    config: RunConfig


def _mlp() -> RunConfig:
    """Goerner's dense net with batch normalisation, as `activation_histograms` trains it."""
    images = DataConfig(name="mnist", pixels="goerner", shuffle="once")
    model = ModelConfig(init="truncated_normal")
    return _config(images, model, OptimConfig(name="adam"), 100, lr=0.003, steps=10_000)


def _vgg(name: str, width: float, batch_size: int) -> RunConfig:
    images = DataConfig(name="cifar10", pixels="standardized")
    model = ModelConfig(name=name, width=width, init="glorot")
    return _config(images, model, OptimConfig(name="sgd"), batch_size, lr=0.01, steps=6000)


def _config(
    images: DataConfig, model: ModelConfig, optim: OptimConfig, batch_size: int, lr: float, steps: int
) -> RunConfig:
    return RunConfig(
        variant="bn",
        data=images,
        model=model,
        norm=NormConfig(name="batch"),
        optim=optim,
        probe=PROBES,
        lr=lr,
        batch_size=batch_size,
        steps=steps,
    )


WORKLOADS = {
    "mlp": Workload("MLP 200-100-60-30, MNIST", 3.0, 200, _mlp()),
    "vgg_a": Workload("VGG-A, width 1/4, CIFAR-10", 1.6, 10, _vgg("vgg_a", 0.25, 128)),
    "vgg_d": Workload("VGG-D, width 1/4, CIFAR-10", 1.2, 10, _vgg("vgg_d", 0.25, 128)),
    "vgg_d_laptop": Workload("VGG-D, width 1/8, CIFAR-10", None, 10, _vgg("vgg_d", 0.125, 64)),
}


def augmented(workload: Workload) -> Workload:
    """With the augmentation that is usual on CIFAR-10: crops after padding by 4 pixels, and flips."""
    if workload.config.data.name != "cifar10":
        return workload
    images = dataclasses.replace(workload.config.data, crop=4, flip=True)
    config = dataclasses.replace(workload.config, data=images)
    return dataclasses.replace(workload, name=f"{workload.name}, augmented", config=config)
