"""Structures, datasets, and the sharpness of every smoothing in each cell of the papers' tables.

A dagger marks facts of the published experiments that the papers leave out.
"""

from typing import NamedTuple


class Structure(NamedTuple):
    """Groups of the posterior, hidden tanh layers of every network, and the row of `BETA`."""

    num_groups: int
    units_per_group: int
    hidden_units: tuple[int, ...]
    beta_row: str

    @property
    def num_units(self) -> int:
        """D, the number of binary units; the first half is the left side of the Boltzmann machine."""
        return self.num_groups * self.units_per_group


STRUCTURES = {
    "1-layer-lin": Structure(1, 200, (), "1-lin"),
    "1-layer-nonlin": Structure(1, 200, (200, 200), "1-nonlin"),
    "2-layer-lin": Structure(2, 200, (200,), "2-nonlin"),
    "2-layer-nonlin": Structure(2, 200, (200, 200), "2-nonlin"),
    "4-layer-nonlin": Structure(4, 100, (200, 200), "2-nonlin"),
    "1-layer-small": Structure(1, 32, (64,), "1-nonlin"),
    "2-layer-small": Structure(2, 16, (64,), "2-nonlin"),
}


class DatasetFacts(NamedTuple):
    """What a recipe needs to know of a dataset.

    Attributes:
      dynamic_binarization: whether training images are pixel probabilities, binarised anew in every batch.
      betas: which part of `BETA` applies.
    """

    dynamic_binarization: bool
    betas: str = "mnist"


DATASETS = {
    "digits": DatasetFacts(True),
    "binarized_mnist": DatasetFacts(False),
    "omniglot": DatasetFacts(True, "omniglot"),
    "caltech101_silhouettes": DatasetFacts(False, "omniglot"),
}


class Betas(NamedTuple):
    """Sharpness of every smoothing in one cell, cross-validated by the authors (dagger)."""

    spike_exp: float
    pp_exp: float
    pp_power: float
    gi: float
    gauss: float
    exp: float
    unexp: float
    power: float


BETA = {
    ("mnist", "1-lin"): Betas(5, 12, 40, 40, 40, 12, 40, 40),
    ("mnist", "1-nonlin"): Betas(5, 14, 30, 30, 30, 12, 30, 40),
    ("mnist", "2-nonlin"): Betas(4, 10, 30, 30, 25, 10, 16, 30),
    ("omniglot", "1-lin"): Betas(4, 14, 40, 40, 40, 12, 40, 40),
    ("omniglot", "1-nonlin"): Betas(4, 12, 40, 30, 25, 10, 16, 30),
    ("omniglot", "2-nonlin"): Betas(4, 10, 30, 25, 25, 8, 16, 20),
}
