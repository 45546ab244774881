"""What data sets and nets are called in figures and tables. Loads no drawing library."""

DATA_NAMES = {
    "digits": "digits",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "gaussian_map": "Gaussian map",
}
MODEL_NAMES = {
    "mlp": "MLP",
    "convnet": "conv net",
    "vgg_a": "VGG-A",
    "vgg_d": "VGG-D",
    "deep_linear": "deep linear net",
}
