"""The data set, and how its images become batches."""

from __future__ import annotations

from dataclasses import dataclass

from bnlab.ranges import number, one_of, refuse

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "synthetic", "gaussian_map")
REGRESSIONS = ("gaussian_map",)  # sets whose targets are vectors, not classes
PIXELS = ("unit", "goerner", "standardized", "binary")
IMAGE_SIZES = {"digits": 8, "mnist": 28, "fashion_mnist": 28, "cifar10": 32, "synthetic": 8, "gaussian_map": 1}
CLASSES = {"digits": 10, "mnist": 10, "fashion_mnist": 10, "cifar10": 10, "synthetic": 4, "gaussian_map": 0}


@dataclass(frozen=True)
class DataConfig:
    name: str = "digits"
    pixels: str = "unit"  # unit: /255; goerner: /256; standardized: per-channel mean 0 and std 1; binary: >= 0.5
    size: int = 0  # images are resized to size x size; 0 keeps their own
    train_subset: int = 0  # the first so many training images of a fixed shuffle; 0 takes all
    validation: int = 0  # images held out of training for anything that selects
    shuffle: str = "every_epoch"  # or once: the same order in every epoch
    batch_classes: int = 0  # each batch holds so many classes, with equally many images of each; 0: as they come
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
