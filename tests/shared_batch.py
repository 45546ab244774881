"""One of two processes that share a batch: `shared_batch.py RANK FOLDER` leaves there what its half came to.

The sizes and the numbers are those that the test computes with in one process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bnlab.config import ModelConfig, NormConfig
from bnlab.models import build
from bnlab.norms import make_norm
from bnlab.norms.keras_arguments import KerasArguments
from bnlab.norms.keras_surface import KerasBatchNorm
from bnlab.training.distributed import joined

# name -> the whole batch's shape and how many of its images process 0 has
LAYERS = {"dense": ((128, 7), 64), "conv": ((128, 5, 4, 3), 64), "unequal": ((13, 5, 4, 3), 9)}
SETTINGS = {"eps": 1e-3, "momentum": 0.07}
IMAGES, CLASSES, HALF = (1, 32, 32), 10, 64


def numbers(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(shape, generator=generator, dtype=torch.float64) + 7


def layer_inputs(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """x, the gradient that comes from above, and (gamma, beta)."""
    shape, _ = LAYERS[name]
    return numbers(shape, 0), numbers(shape, 1), numbers((2, shape[1]), 2)


def share(x: Tensor, first: int, rank: int) -> Tensor:
    return x[:first] if rank == 0 else x[first:]


def net(model: str, statistics: str) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    config = ModelConfig(name=model, widths=(20, 10), width=1 / 16)
    norm = NormConfig(name="batch", statistics=statistics, **SETTINGS)
    return build(config, norm, IMAGES, CLASSES, generator, torch.Generator()).double()


def batch() -> tuple[Tensor, Tensor]:
    return numbers((2 * HALF, *IMAGES), 4), torch.arange(2 * HALF) % CLASSES


def state(module: nn.Module) -> dict[str, Tensor]:
    """Every gradient and every buffer, by name."""
    return {name: p.grad for name, p in module.named_parameters()} | dict(module.named_buffers())


def pass_layer(layer: nn.Module, x: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(upstream)
    return {"y": y.detach(), "x": x.grad, **state(layer)}


def shared_layer(name: str, rank: int, device: str = "cpu") -> dict[str, Tensor]:
    x, upstream, (gamma, beta) = layer_inputs(name)
    first = LAYERS[name][1]
    layer = make_norm(NormConfig(name="batch", statistics="synchronised", **SETTINGS), x.shape[1], x.dim() == 4, None)
    layer.double().to(device).load_state_dict({**layer.state_dict(), "weight": gamma, "bias": beta})
    layer.together = True
    return pass_layer(layer, share(x, first, rank).to(device), share(upstream, first, rank).to(device))


def keras_layer(x: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    """Keras's layer, masked and renormalising; a process that is in no group has all there is."""
    layer = KerasBatchNorm(x.shape[1], KerasArguments(axis=1, synchronized=True, renorm=True)).double()
    x = x.clone().requires_grad_()
    y = layer(x, mask=x.detach()[..., 0] > 6)
    y.backward(upstream)
    return {"y": y.detach(), "x": x.grad, **state(layer)}


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    found = {}
    with joined("gloo", rank, 2, dist.FileStore(str(folder / "store"), 2)) as replicas:
        for name in LAYERS:
            found[name] = shared_layer(name, rank)
        found["keras"] = keras_layer(*(share(t, LAYERS["unequal"][1], rank) for t in layer_inputs("unequal")[:2]))
        if torch.cuda.is_available():
            found["cuda"] = {key: value.cpu() for key, value in shared_layer("unequal", rank, "cuda").items()}
        for model in ("mlp", "vgg_a"):
            for statistics in ("synchronised", "replica"):
                model_net = net(model, statistics)
                x, y = replicas.share(batch())
                forward = replicas.forward(model_net)  # gradients are averaged only while this is alive
                cross_entropy(forward(x), y).backward()
                found[f"{model} {statistics}"] = state(model_net)
    torch.save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
