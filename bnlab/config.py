"""What a run is: plain frozen dataclasses, their ranges, and the id that follows from them.

YAML chooses, these classes define. Nothing here imports torch or hydra; below the composition step
(`bnlab.compose`) a configuration is always a `RunConfig`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import typing
from dataclasses import dataclass, field

from bnlab.cadence import Cadence
from bnlab.errors import BadInput
from bnlab.extensions import added, with_fields_of
from bnlab.ranges import nearest, number, one_of, refuse

NORMS = ("none", "batch", "noisy_batch", "noise", "layer", "group", "instance", "lp", "renorm")
BATCH_STATISTICS = ("batch", "noisy_batch", "lp", "renorm")
MODELS = ("mlp", "convnet", "vgg_a", "vgg_d", "deep_linear")
DENSE = ("mlp", "convnet", "deep_linear")  # have dense hidden layers
DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "synthetic", "gaussian_map")
REGRESSIONS = ("gaussian_map",)  # sets whose targets are vectors, not classes
LOSSES = ("cross_entropy", "half_squares")
SCALES = ("smoke", "laptop", "paper")
INITS = ("truncated_normal", "gaussian", "glorot", "he")
ACTIVATIONS = ("relu", "sigmoid", "tanh", "linear")
OPTIMIZERS = ("sgd", "rmsprop", "adam")
SCHEDULES = ("constant", "exponential")
TRACKERS = ("wandb", "tensorboard")
# One module of bnlab/procedures each; `train` is no module.
PROCEDURES = ("identities", "article_code", "input_scaling", "covariate_shift", "learning_rates", "batch_noise")
# The keys that a procedure looks at, besides those that every run has; keys of the training loop are not for it.
HEARD_BY_ALL = ("seed", "steps", "threads", "tracker", "checkpoint", "procedure")
HEARD_BY = {"learning_rates": ("data", "model", "norm", "variant", "batch_size")}
LAUNCHERS = ("local", "ray", "slurm")
POSITIONS = ("before", "after")
DROPOUT_LAYERS = ("last", "others")
STATISTICS = ("replica", "synchronised")
SHARED_NORMS = ("none", "batch", "layer", "group", "instance")  # that several processes can compute on one batch
PIXELS = ("unit", "goerner", "standardized", "binary")


@dataclass(frozen=True)
class NoiseConfig:
    """Santurkar et al. 2018, appendix A.2.1, algorithm 1, with each ambiguity of the text as a switch."""

    shift: float = 0.5  # n_mu: a unit's mean shift is drawn from U(-shift, shift)
    scale: float = 1.25  # n_sigma: a unit's mean scale is drawn from U(1, scale)
    shift_spread: float = 0.1  # r_mu: a sample's shift lies within +-r_mu of the unit's
    scale_spread: float = 0.1  # r_sigma: spread of a sample's scale around the unit's
    per: str = "unit"  # one draw of (mu_j, sigma_j) per unit, or per layer
    scale_spread_is: str = "std"  # whether r_sigma is a standard deviation or a variance
    at_eval: bool = False  # noise in evaluation too
    place: str = "after_affine"  # after gamma and beta, or between normalising and gamma, beta

    def __post_init__(self) -> None:
        number("norm.noise.shift", self.shift, 0)
        number("norm.noise.scale", self.scale, 1)
        number("norm.noise.shift_spread", self.shift_spread, 0)
        number("norm.noise.scale_spread", self.scale_spread, 0)
        one_of("norm.noise.per", self.per, ("unit", "layer"))
        one_of("norm.noise.scale_spread_is", self.scale_spread_is, ("std", "variance"))
        one_of("norm.noise.place", self.place, ("after_affine", "before_affine"))


@dataclass(frozen=True)
class GroupConfig:
    """Group normalisation. Where `groups` does not divide a layer's units, their greatest common divisor does."""

    groups: int = 4

    def __post_init__(self) -> None:
        number("norm.group.groups", self.groups, 1)


@dataclass(frozen=True)
class LpConfig:
    """Santurkar et al. 2018, section 3.3."""

    norm: str = "l2"
    centred: bool = False  # the norm of the activations after, not before, their mean is taken away

    def __post_init__(self) -> None:
        one_of("norm.lp.norm", self.norm, ("l1", "l2", "linf"))


@dataclass(frozen=True)
class RenormConfig:
    """Ioffe 2017: batch normalisation for the first `start` updates, then r_max and d_max grow linearly to these
    values. The paper's 5,000, 40,000 and 25,000 updates are divided by 50 here, for runs that are as much shorter."""

    r_max: float = 3.0
    d_max: float = 5.0
    start: int = 100
    r_full: int = 800  # the update at which r_max is reached
    d_full: int = 500

    def __post_init__(self) -> None:
        number("norm.renorm.r_max", self.r_max, 1)
        number("norm.renorm.d_max", self.d_max, 0)
        number("norm.renorm.start", self.start, 0)
        number("norm.renorm.r_full", self.r_full, self.start)
        number("norm.renorm.d_full", self.d_full, self.start)


@dataclass(frozen=True)
@with_fields_of("norms", NORMS)
class NormConfig:
    """The normalisation of every hidden layer.

    `momentum` is torch's (weight of the new batch); `warm_up` raises it to 9/(10+n) at update n, which
    is TensorFlow's moving average with a step count. `offset_init` starts beta (and, where a layer has
    no normalisation, nothing: see `model.bias_init`).
    """

    name: str = "none"
    eps: float = 1e-5
    momentum: float = 0.1
    warm_up: bool = False
    center: bool = True
    scale: bool = True
    offset_init: float = 0.0
    position: str = "before"  # of the activation
    ghost_size: int = 0  # images whose statistics are taken together (Hoffer et al. 2017); 0 takes the whole batch
    statistics: str = "replica"  # over each replica's share of the batch, or synchronised: over the whole batch
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    group: GroupConfig = field(default_factory=GroupConfig)
    lp: LpConfig = field(default_factory=LpConfig)
    renorm: RenormConfig = field(default_factory=RenormConfig)

    def __post_init__(self) -> None:
        one_of("norm.name", self.name, (*NORMS, *added("norms")))
        number("norm.eps", self.eps, 0)
        number("norm.momentum", self.momentum, 0, 1)
        number("norm.offset_init", self.offset_init, -math.inf)
        one_of("norm.position", self.position, POSITIONS)
        number("norm.ghost_size", self.ghost_size, 0)
        one_of("norm.statistics", self.statistics, STATISTICS)
        if self.statistics == "synchronised" and self.name != "batch":
            refuse("norm.statistics", self.statistics, f"only norm.name=batch can share statistics, not {self.name}")

    @property
    def uses_batch_statistics(self) -> bool:
        return self.name in BATCH_STATISTICS or getattr(_own(self), "uses_batch_statistics", False)

    @property
    def removes_bias(self) -> bool:
        """Whether each unit's own mean is taken away, so that a bias just before has no effect and gradient 0."""
        always = self.name in ("batch", "noisy_batch", "renorm", "instance") or (self.name == "lp" and self.lp.centred)
        return always or getattr(_own(self), "removes_bias", False)


def _own(config: NormConfig | ModelConfig) -> object:
    """The fields that belong to the chosen layer or net alone, if it has any."""
    return getattr(config, config.name, None)


@dataclass(frozen=True)
class DataConfig:
    name: str = "digits"
    pixels: str = "unit"  # unit: /255; goerner: /256; standardized: per-channel mean 0 and std 1; binary: >= 0.5
    size: int = 0  # images are resized to size x size; 0 keeps their own
    train_subset: int = 0  # the first so many training images of a fixed shuffle; 0 takes all
    validation: int = 0  # images held out of training for anything that selects
    shuffle: str = "every_epoch"  # or once: the same order in every epoch
    batch_classes: int = (
        0  # each batch holds exactly so many classes, with equally many images of each; 0: as they come
    )
    crop: int = 0  # random crops after padding by so many pixels
    flip: bool = False  # random horizontal flips

    def __post_init__(self) -> None:
        one_of("data", self.name, DATASETS)
        one_of("data.pixels", self.pixels, PIXELS)
        number("data.size", self.size, 0, 512)
        number("data.train_subset", self.train_subset, 0)
        number("data.validation", self.validation, 0)
        one_of("data.shuffle", self.shuffle, ("every_epoch", "once"))
        number("data.batch_classes", self.batch_classes, 0, CLASSES[self.name])
        number("data.crop", self.crop, 0, 64)
        if self.name in REGRESSIONS:
            for key, default in (("pixels", "unit"), ("size", 0), ("crop", 0), ("flip", False)):
                if getattr(self, key) != default:
                    refuse(f"data.{key}", getattr(self, key), f"{self.name} has no images; leave it out")


@dataclass(frozen=True)
@with_fields_of("models", MODELS)
class ModelConfig:
    name: str = "mlp"
    widths: tuple[int, ...] = (200, 100, 60, 30)  # hidden layers of the mlp and of the deep linear net
    activation: str = "relu"
    width: float = 1.0  # multiplies the channels of the convolutional nets
    init: str = "he"
    init_std: float = 0.1  # of gaussian, and of truncated_normal, which is cut at two standard deviations
    bias_init: float = 0.0  # of hidden biases, where a layer has one
    output_bias_init: float = 0.0
    dropout: float = 0.0  # probability of dropping a unit of the last hidden dense layer
    dropout_layers: str = "last"  # of the mlp: or others, all hidden layers but the last

    def __post_init__(self) -> None:
        one_of("model", self.name, (*MODELS, *added("models")))
        if not self.widths or any(w < 1 for w in self.widths):
            refuse("model.widths", list(self.widths), "every hidden layer needs at least 1 unit")
        one_of("model.activation", self.activation, ACTIVATIONS)
        if self.name == "deep_linear" and self.activation != "linear":
            refuse("model.activation", self.activation, "deep_linear has none; use linear")
        number("model.width", self.width, 0, 16, open_low=True)
        one_of("model.init", self.init, INITS)
        number("model.init_std", self.init_std, 0, open_low=True)
        number("model.bias_init", self.bias_init, -math.inf)
        number("model.output_bias_init", self.output_bias_init, -math.inf)
        number("model.dropout", self.dropout, 0, 0.99)
        self._check_dropout_layers()

    def _check_dropout_layers(self) -> None:
        place, key = self.dropout_layers, "model.dropout_layers"
        one_of(key, place, DROPOUT_LAYERS)
        if place == "others" and (self.name != "mlp" or len(self.widths) < 2):
            refuse(key, place, "needs an mlp with two hidden layers or more; use last")
        if place == "others" and not self.dropout:
            refuse(key, place, "nothing is dropped with model.dropout=0; use last")


@dataclass(frozen=True)
class OptimConfig:
    """`exponential`: the rate at step t is `lr_floor + lr * exp(-t / decay_steps)` (Goerner's scripts)."""

    name: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    lr_floor: float = 0.0
    decay_steps: float = 1000.0

    def __post_init__(self) -> None:
        one_of("optim", self.name, OPTIMIZERS)
        number("optim.momentum", self.momentum, 0, 0.9999)
        number("optim.weight_decay", self.weight_decay, 0)
        one_of("optim.schedule", self.schedule, SCHEDULES)
        number("optim.lr_floor", self.lr_floor, 0)
        number("optim.decay_steps", self.decay_steps, 0, open_low=True)


@dataclass(frozen=True)
class CurvesConfig:
    cadence: str = "20it"  # loss and accuracy of the training mini-batch
    full: str = "500it"  # of the training subset, at most `full_images` of it, and of the test set
    full_images: int = 10_000
    by_batch: str = "never"  # of the test set, normalised by statistics of batches built as in training

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.curves.cadence")
        Cadence.parse(self.full, "probe.curves.full")
        Cadence.parse(self.by_batch, "probe.curves.by_batch")
        number("probe.curves.full_images", self.full_images, 1)


@dataclass(frozen=True)
class ActivationsConfig:
    cadence: str = "100it+@1,2,5,10,20,50"  # bands, percentiles, fractions
    histograms: str = "log100"
    layers: tuple[int, ...] = ()  # 1-based normalised layers; empty takes all
    pooled: bool = True  # also over all chosen layers together, as the panels of Goerner's demos
    unit: bool = False  # also one fixed unit of each chosen layer, as fig. 2 of Santurkar et al.
    unit_percentiles: bool = False  # also the percentiles of that unit alone, as fig. 1 of Ioffe and Szegedy

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.activations.cadence")
        Cadence.parse(self.histograms, "probe.activations.histograms")
        if any(layer < 1 for layer in self.layers):
            refuse("probe.activations.layers", list(self.layers), "layers are counted from 1")


@dataclass(frozen=True)
class MomentsConfig:
    cadence: str = "100it"
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.moments.cadence")
        if any(layer < 1 for layer in self.layers):
            refuse("probe.moments.layers", list(self.layers), "layers are counted from 1")


@dataclass(frozen=True)
class IcsConfig:
    cadence: str = "100it"
    layers: tuple[int, ...] = ()  # 1-based; empty takes all, and each one costs a forward and a backward pass

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.ics.cadence")
        if any(layer < 1 for layer in self.layers):
            refuse("probe.ics.layers", list(self.layers), "layers are counted from 1")


@dataclass(frozen=True)
class LandscapeConfig:
    """Santurkar et al. 2018, figures 4 and 11. Each factor costs a forward and a backward pass, per direction."""

    cadence: str = "100it"
    factors: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)  # step lengths in units of the configured lr
    random_direction: bool = False  # also along a random direction as long as the gradient

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.landscape.cadence")
        for factor in self.factors:
            number("probe.landscape.factors", factor, 0, open_low=True)
        if not self.factors or len({f"{factor:g}" for factor in self.factors}) < len(self.factors):
            refuse("probe.landscape.factors", list(self.factors), "needs at least one factor, and none of them twice")


@dataclass(frozen=True)
class AffineConfig:
    cadence: str = "100it"

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.affine.cadence")


@dataclass(frozen=True)
class ModesConfig:
    cadence: str = "100it"

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.modes.cadence")


@dataclass(frozen=True)
@with_fields_of("probes", ())
class ProbeConfig:
    names: tuple[str, ...] = ("curves", "activations", "moments")
    curves: CurvesConfig = field(default_factory=CurvesConfig)
    activations: ActivationsConfig = field(default_factory=ActivationsConfig)
    moments: MomentsConfig = field(default_factory=MomentsConfig)
    ics: IcsConfig = field(default_factory=IcsConfig)
    landscape: LandscapeConfig = field(default_factory=LandscapeConfig)
    affine: AffineConfig = field(default_factory=AffineConfig)
    modes: ModesConfig = field(default_factory=ModesConfig)

    def __post_init__(self) -> None:
        known = tuple(f.name for f in dataclasses.fields(self) if f.name != "names")
        for name in self.names:
            one_of("probe.names", name, known)


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
        _check_tracker(self.tracker)
        Cadence.parse(self.checkpoint, "checkpoint")
        _check_batches(self)
        _check_layers(self)
        _check_regression(self)
        _check_vgg(self)
        _check_statistics(self)
        _check_replicas(self)

    @property
    def splits_statistics(self) -> bool:
        """Whether one batch has several statistics, those of each replica's share."""
        return self.replicas > 1 and self.norm.uses_batch_statistics and self.norm.statistics == "replica"


@dataclass(frozen=True)
class LauncherConfig:
    """Where the processes of a sweep run; no part of any run. What a launcher has no use for stays at its default."""

    name: str = "local"
    address: str = ""  # ray: host:port of a running cluster, or auto; empty starts one on this machine
    cpus: float = 0.0  # ray and slurm: cores that one run takes of its node (ray: or part of one); 0: its threads
    gpus: float = 0.0  # ray and slurm: GPUs that one run takes (ray: or part of one); 0: one where device=cuda
    memory_gb: float = 0.0  # ray and slurm: memory that one run takes; 0 leaves it to the scheduler
    partition: str = ""  # slurm: of the cluster; empty takes its default
    account: str = ""  # slurm: who pays
    minutes: int = 60  # slurm: longest time of one job; a run that needs more saves and is put back into the queue
    engine: str = "slurm"  # slurm: the scheduler, or local: submitit's stand-in on this machine

    def __post_init__(self) -> None:
        one_of("launcher", self.name, LAUNCHERS)
        number("launcher.cpus", self.cpus, 0)
        number("launcher.gpus", self.gpus, 0)
        number("launcher.memory_gb", self.memory_gb, 0)
        number("launcher.minutes", self.minutes, 1)
        one_of("launcher.engine", self.engine, ("slurm", "local"))
        if self.name == "slurm":
            for key in ("cpus", "gpus"):
                if getattr(self, key) % 1:
                    refuse(f"launcher.{key}", getattr(self, key), "SLURM lends whole ones; give a whole number")

    @property
    def is_here(self) -> bool:
        """Whether all runs are processes of this machine, which nobody but bnlab keeps from taking too many cores."""
        return self.name == "local" or (self.name == "slurm" and self.engine == "local")


def tracker_names(joined: str) -> list[str]:
    """`wandb+tensorboard` as a list; `none` is an empty one."""
    return [] if joined == "none" else joined.split("+")


def _check_tracker(joined: str) -> None:
    names = tracker_names(joined)
    for name in names:
        one_of("tracker", name, ("none", *TRACKERS))
    if "none" in names or len(set(names)) < len(names):
        refuse("tracker", joined, f"name each of {', '.join(TRACKERS)} once, joined by +, or none alone")


IMAGE_SIZES = {"digits": 8, "mnist": 28, "fashion_mnist": 28, "cifar10": 32, "synthetic": 8, "gaussian_map": 1}
CLASSES = {"digits": 10, "mnist": 10, "fashion_mnist": 10, "cifar10": 10, "synthetic": 4, "gaussian_map": 0}
CONV_BLOCKS = {"convnet": 4, "vgg_a": 8, "vgg_d": 13}


def hidden_layers(model: ModelConfig) -> int:
    """How many blocks the net has, that is how far its layers are counted."""
    return getattr(_own(model), "blocks", CONV_BLOCKS.get(model.name, len(model.widths)))


def _check_batches(config: RunConfig) -> None:
    classes = config.data.batch_classes
    if classes and config.batch_size % classes:
        refuse("batch_size", config.batch_size, f"must be a multiple of data.batch_classes={classes}, which share it")


def _check_layers(config: RunConfig) -> None:
    blocks = hidden_layers(config.model)
    for name in ("activations", "moments", "ics"):
        layers = getattr(config.probe, name).layers
        if any(layer > blocks for layer in layers):
            rule = f"there is no layer {max(layers)}; {config.model.name} has {blocks} hidden layers"
            refuse(f"probe.{name}.layers", list(layers), rule)


def _check_regression(config: RunConfig) -> None:
    """Vectors are fitted by least squares in dense layers, classes by cross-entropy."""
    regression = config.data.name in REGRESSIONS
    fits = "half_squares" if regression else "cross_entropy"
    if config.procedure != "train" and regression:
        refuse("data", config.data.name, f"procedure={config.procedure} has no use for it; choose another set")
    if config.loss != fits:
        refuse("loss", config.loss, f"data={config.data.name} has {'vectors' if regression else 'classes'}; use {fits}")
    if regression and config.model.name not in ("mlp", "deep_linear"):
        refuse("model", config.model.name, f"data={config.data.name} has no images; use deep_linear or mlp")


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


def _check_vgg(config: RunConfig) -> None:
    """Five poolings leave nothing of images below 32 x 32, and there is no hidden dense layer to drop units of."""
    if not config.model.name.startswith("vgg"):
        return
    if config.model.dropout:
        refuse("model.dropout", config.model.dropout, f"{config.model.name} has no hidden dense layer; use 0")
    size = config.data.size or IMAGE_SIZES[config.data.name]
    if size < 32:
        refuse("model", config.model.name, f"needs images of 32 x 32, these are {size} x {size}; add data.size=32")


def _check_statistics(config: RunConfig) -> None:
    """Every statistic needs at least two values, and ghost batches have to divide the batch."""
    norm, dense = config.norm, config.model.name in DENSE
    if norm.name == "instance" and dense:
        refuse("norm.name", "instance", f"{config.model.name} has dense layers, whose units have one value per image")
    if not norm.uses_batch_statistics:
        return
    if config.batch_size % (norm.ghost_size or 1):
        fits = max(size for size in range(1, norm.ghost_size) if config.batch_size % size == 0)
        refuse("norm.ghost_size", norm.ghost_size, f"must divide batch_size={config.batch_size}, as {fits} does")
    key = "norm.ghost_size" if norm.ghost_size else "batch_size"
    if dense and (norm.ghost_size or config.batch_size) == 1:
        refuse(key, 1, "batch normalisation of dense units has no variance over one image; use 2 or more")


# Where a run happens and who watches it does not change what it is.
NOT_IDENTITY = ("seed", "device", "threads", "tracker", "checkpoint")


def run_id(config: RunConfig) -> str:
    """`<hash>-s<seed>`: eight hex digits over every field that differs from its default.

    A field added later with a default that changes nothing leaves all earlier ids as they are.
    """
    differing = {k: v for k, v in _different_from_default(config).items() if k.split(".")[0] not in NOT_IDENTITY}
    text = json.dumps(differing, sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-s{config.seed}"


def _different_from_default(config: RunConfig) -> dict[str, object]:
    default = flatten(RunConfig())
    return {key: value for key, value in flatten(config).items() if value != default[key]}


def flatten(config: object, prefix: str = "") -> dict[str, object]:
    """Dotted key -> value of every leaf; tuples become lists, as in JSON."""
    leaves: dict[str, object] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            leaves.update(flatten(value, f"{prefix}{f.name}."))
        else:
            leaves[prefix + f.name] = list(value) if isinstance(value, tuple) else value
    return leaves


def to_dict(config: RunConfig) -> dict:
    """The nested form, ready for JSON; of extensions only what the run uses, so that it is read where they are not."""
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    for kind, key, used in (
        ("norms", "norm", [config.norm.name]),
        ("models", "model", [config.model.name]),
        ("probes", "probe", config.probe.names),
    ):
        for name, fields in added(kind).items():
            if name not in used and getattr(getattr(config, key), name) == fields():
                del values[key][name]
    return values


def from_dict(values: dict, cls: type = RunConfig, prefix: str = "") -> typing.Any:
    """Build `cls` from nested plain values; every unknown key and wrong type is named with its dotted key."""
    types = _field_types(cls)
    for key in values:
        if key not in types:
            raise unknown_key(prefix + str(key))
    return cls(**{key: _typed(prefix + key, values[key], types[key]) for key in values})


@functools.cache
def _field_types(cls: type) -> dict[str, type]:
    return typing.get_type_hints(cls)


# What others call our keys, where no likeness of letters tells.
ELSEWHERE_CALLED = {
    "learning_rate": "lr",
    "optim.lr": "lr",
    "optimizer.lr": "lr",
    "epochs": "steps",
    "iterations": "steps",
    "max_steps": "steps",
    "wd": "optim.weight_decay",
    "weight_decay": "optim.weight_decay",
    "momentum": "optim.momentum",
}


def unknown_key(key: str) -> BadInput:
    """The error for a key that no part of a configuration has."""
    if key in ELSEWHERE_CALLED:
        return BadInput(f"{key}: no such key, it is called {ELSEWHERE_CALLED[key]} here")
    known = [*flatten(RunConfig()), *(f"launcher.{f.name}" for f in dataclasses.fields(LauncherConfig))]
    return BadInput(f"{key}: no such key{nearest(key, known)}; keys look like lr, batch_size or optim.momentum")


def _typed(key: str, value: object, wanted: type) -> object:
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            refuse(key, value, "is a group of keys, not a value")
        return from_dict(value, wanted, prefix=f"{key}.")
    if typing.get_origin(wanted) is tuple:
        element = typing.get_args(wanted)[0]
        if not isinstance(value, (list, tuple)):
            refuse(key, value, "must be a list, such as [1,2]")
        return tuple(_typed(key, item, element) for item in value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        refuse(key, value, f"must be {_TYPE_NAMES[wanted]}")
    return value


_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
