"""Everything of a run that changes from step to step, in one place, so that it can be saved and taken up again."""

from __future__ import annotations

import hashlib

import torch

from bnlab.config import RunConfig
from bnlab.data.batches import Batches
from bnlab.data.image_set import ImageSets
from bnlab.models import build
from bnlab.probes import PROBES, Probing
from bnlab.training.distributed import ALONE, Replicas
from bnlab.training.optim import make_optimizer
from bnlab.training.seeding import streams


class TrainingState:
    """The net, optimiser, batches, random streams and probes of one run after `step` updates."""

    def __init__(self, config: RunConfig, data: ImageSets, device: str, replicas: Replicas = ALONE) -> None:
        """`replicas` are the processes that train this run together; only process 0 measures."""
        self.config = config
        self.replicas = replicas
        self.data = data
        self.step = 0
        self.streams = streams(config.seed, device)
        shape = data.train.shape
        net = build(config.model, config.norm, shape, data.classes, self.streams.init, self.streams.noise)
        self.net = net.to(device)
        self.optimizer = make_optimizer(config, self.net)
        self.batches = Batches(
            data.train,
            config.batch_size,
            self.streams.order,
            self.streams.augment,
            shuffle=config.data.shuffle,
            crop=config.data.crop,
            flip=config.data.flip,
            channels_last=net.spatial,
            classes=config.data.batch_classes,
        )
        probes = [PROBES[name] for name in config.probe.names if replicas.rank == 0]
        self.probing = Probing(probes, config, self.net, self.batches.steps_per_epoch, self.streams.moving())

    def state_dict(self) -> dict:
        """Tensors and plain values only, so that it loads with `weights_only=True`."""
        return {
            "step": self.step,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state(),
            "generators": [generator.get_state() for generator in self.streams.moving()],
            "global_generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
            "probes": self.probing.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.step = state["step"]
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        for generator, generator_state in zip(self.streams.moving(), state["generators"], strict=True):
            generator.set_state(generator_state)
        self.batches.load_state(state["batches"])
        torch.set_rng_state(state["global_generator"])
        if state["cuda_generator"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_generator"])
        self.probing.load_state_dict(state["probes"])

    def weights_sha256(self) -> str:
        """A sum over the bytes of every parameter and buffer: equal exactly when two runs ended in the same place."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
