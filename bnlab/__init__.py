"""bnlab: claims about batch normalisation, turned into experiments with verdicts."""

__version__ = "0.1.0"
