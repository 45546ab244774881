"""One run: the groups together, and the keys that belong to none."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlab.cadence import Cadence
from bnlab.config.checks import check_batches, check_layers, check_regression, check_statistics, check_vgg
from bnlab.config.data import DataConfig
from bnlab.config.model import DENSE, ModelConfig
from bnlab.config.norm import NormConfig
from bnlab.config.optim import OptimConfig
from bnlab.config.probe import ProbeConfig
from bnlab.config.procedure import PROCEDURES
from bnlab.config.tracker import check_tracker
from bnlab.ranges import number, one_of, refuse

SCALES = ("smoke", "laptop", "paper")
LOSSES = ("cross_entropy", "half_squares")
SHARED_NORMS = ("none", "batch", "layer", "group", "instance")  # that several processes can compute on one batch


@dataclass(frozen=True)
class RunConfig:
    """One training of one variant with one seed. Seed 0 is a seed like any other."""

    experiment: str = ""
    procedure: str = "train"  # or what else yields the rows of the run, one for each step
    variant: str = "plain"
    data: DataConfig = field(default_factory=DataConfig)
    scale: str = "laptop"
    model: ModelConfig = field(default_factory=ModelConfig)
    norm: NormConfig = field(default_factory=NormConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    loss: str = "cross_entropy"  # or half_squares: half the sum of squares over the samples of the batch
    lr: float = 0.1
    batch_size: int = 64
    steps: int = 1000
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    replicas: int = 1  # processes that share every batch, each with `threads`; changes what is computed, so in the id
    tracker: str = "none"  # who mirrors the measurements besides the run's own files; several are joined by +
    checkpoint: str = "1000it"  # when the state is saved for resuming

    def __post_init__(self) -> None:
        one_of("procedure", self.procedure, ("train", *PROCEDURES))
        one_of("scale", self.scale, SCALES)
        one_of("loss", self.loss, LOSSES)
        number("lr", self.lr, 0, open_low=True)
        number("batch_size", self.batch_size, 1)
        number("steps", self.steps, 1, 10**9)
        number("seed", self.seed, 0, 2**32 - 1)
        number("threads", self.threads, 1, 1024)
        number("replicas", self.replicas, 1, 1024)
        one_of("device", self.device, ("cpu", "cuda", "auto"))
        check_tracker(self.tracker)
        Cadence.parse(self.checkpoint, "checkpoint")
        check_batches(self.batch_size, self.data)
        check_layers(self.model, self.probe)
        check_regression(self.procedure, self.data, self.loss, self.model)
        check_vgg(self.model, self.data)
        check_statistics(self.norm, self.model, self.batch_size)
        _check_replicas(self)

    @property
    def splits_statistics(self) -> bool:
        """Whether one batch has several statistics, those of each replica's share."""
        return self.replicas > 1 and self.norm.uses_batch_statistics and self.norm.statistics == "replica"


def _check_replicas(config: RunConfig) -> None:
    """What draws random numbers per image would draw others for a share than for the whole batch."""
    if config.replicas == 1:
        return
    if config.procedure != "train":
        refuse("replicas", config.replicas, f"procedure={config.procedure} has no batch to share; use replicas=1")
    if config.batch_size % config.replicas:
        refuse("batch_size", config.batch_size, f"must be a multiple of replicas={config.replicas}, which share it")
    if config.loss == "half_squares":
        refuse("replicas", config.replicas, "half_squares is a sum, and gradients are averaged; use replicas=1")
    if config.norm.name not in SHARED_NORMS:
        refuse("replicas", config.replicas, f"norm.name={config.norm.name} cannot share a batch; use replicas=1")
    if config.norm.ghost_size:
        refuse("norm.ghost_size", config.norm.ghost_size, "replicas have statistics of their own; use 0 or replicas=1")
    if config.splits_statistics and config.batch_size == config.replicas and config.model.name in DENSE:
        rule = f"dense units have no variance over one image per replica; use {2 * config.replicas} or more"
        refuse("batch_size", config.batch_size, rule)
    if config.model.dropout:
        refuse("replicas", config.replicas, "dropout cannot share a batch; use model.dropout=0 or replicas=1")
