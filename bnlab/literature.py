"""The articles and papers whose sentences are tested; `S0-17` is claim 17 of source S0."""

from __future__ import annotations

from dataclasses import dataclass

ARTICLES, PAPERS, OWN = "articles", "papers", "own"


@dataclass(frozen=True)
class Source:
    """`name` is short enough for a line of a table, `about` says more; `address` is empty where none is known."""

    name: str
    about: str = ""
    address: str = ""


def _arxiv(number: str) -> str:
    return f"https://arxiv.org/abs/{number}"


SOURCES = {
    "S0": Source(
        "a talk of M. Görner, re-told",
        "an article on batch normalisation with TensorFlow; the scripts of the talk are "
        "[tensorflow-mnist-tutorial](https://github.com/martin-gorner/tensorflow-mnist-tutorial)",
        "https://androidkt.com/batchnormalization-tensorflow/",
    ),
    "S1": Source(
        "Batch Normalization",
        'an article with the call of Keras\' layer; begins "Before we learn about Batch normalization"',
    ),
    "S2": Source(
        "Batch Normalization in Convolutional Neural Networks",
        "an article with two Keras programs",
        "https://www.baeldung.com/cs/batch-normalization-cnn",
    ),
    "S3": Source(
        "Introduction to Batch Normalization",
        "an article that ends in the experiment of P2",
        "https://www.analyticsvidhya.com/blog/2021/03/introduction-to-batch-normalization/",
    ),
    "P1": Source("Ioffe and Szegedy 2015", "batch normalisation", _arxiv("1502.03167")),
    "P2": Source("Santurkar, Tsipras, Ilyas and Madry 2018", "how it helps optimisation", _arxiv("1805.11604")),
    "P3": Source("Ioffe 2017", "batch renormalisation", _arxiv("1702.03275")),
    "P4": Source("other papers"),
}


def source_id(claim: str) -> str:
    """`S0` of `S0-17`."""
    return claim.partition("-")[0]


def family(claim: str) -> str:
    """Whose sentence a claim is: of the ARTICLES, of PAPERS that no article covers, or of the reader's OWN."""
    if source_id(claim) not in SOURCES:
        return OWN
    return ARTICLES if claim.startswith("S") else PAPERS
