"""The peer: training as it is usually written, with torchvision's transforms, a DataLoader, and torch's defaults."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bnlab.config import DataConfig, RunConfig
from bnlab.data import root
from bnlab.data.torchvision_compat import import_torchvision

# The constants that are copied around the field.
NORMALISE = {
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
VGG = {
    "vgg_a": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "vgg_d": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
}


def dataset(config: DataConfig) -> Dataset:
    import_torchvision()
    from torchvision import datasets, transforms

    crop = [transforms.RandomCrop(32, padding=config.crop)] if config.crop else []
    flip = [transforms.RandomHorizontalFlip()] if config.flip else []
    to_floats = [transforms.ToTensor(), transforms.Normalize(*NORMALISE[config.name])]
    transform = transforms.Compose([*crop, *flip, *to_floats])
    kind = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}[config.name]
    return kind(str(root()), train=True, transform=transform, download=False)


def model(config: RunConfig) -> nn.Module:
    """The same net as the configuration's, as a plain sequence of torch's layers."""
    if config.model.name == "mlp":
        sizes = (784, *config.model.widths)
        hidden = [[nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()] for i, o in zip(sizes, sizes[1:])]
        return nn.Sequential(nn.Flatten(), *(layer for block in hidden for layer in block), nn.Linear(sizes[-1], 10))
    layers: list[nn.Module] = []
    channels = 3
    for wanted in VGG[config.model.name]:
        if wanted == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        wide = round(wanted * config.model.width)
        layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        channels = wide
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, 10))


def convolutions(config: RunConfig) -> nn.Module:
    """The net without its normalisations and activations: what no rewriting of anything else makes faster."""
    kept = [layer for layer in model(config) if not isinstance(layer, (nn.BatchNorm2d, nn.ReLU))]
    return nn.Sequential(*kept).to(memory_format=torch.channels_last)


def training(config: RunConfig, workers: int, channels_last: bool) -> Iterator[float]:
    """Trains for ever; each `next` is one step and gives its loss."""
    images = dataset(config.data)
    loader = DataLoader(images, config.batch_size, shuffle=True, num_workers=workers, drop_last=True)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    net = model(config).to(memory_format=memory_format)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[config.optim.name]
    optimizer = kind(net.parameters(), lr=config.lr)
    criterion = nn.CrossEntropyLoss()
    net.train()
    while True:
        for x, y in loader:
            x = x.to(memory_format=memory_format)
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            yield loss.item()
