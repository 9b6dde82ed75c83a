"""Structures, datasets, and the sharpness of every smoothing in each cell of the papers' tables.

A dagger marks facts of the published experiments that the papers leave out.
"""

from typing import NamedTuple


class Structure(NamedTuple):
    """The sizes of a code and of its networks.

    Attributes:
      num_groups: groups of the posterior.
      units_per_group: binary units of each group.
      hidden_units: sizes of the hidden tanh layers of every network; none for linear ones. Beside
        convolutional networks, those between the features of an image and its bits.
      channels: of convolutional residual networks, from fine to coarse, each half the height and width of the
        one before, the first half those of the image; none for dense networks.
      num_local_groups: groups of local continuous variables; 0 for bits alone.
      local_units: variables of each local group: at each place of the coarsest grid of convolutional
        networks, or in all.
    """

    num_groups: int
    units_per_group: int
    hidden_units: tuple[int, ...]
    channels: tuple[int, ...] = ()
    num_local_groups: int = 0
    local_units: int = 0

    @property
    def num_units(self) -> int:
        """D, the number of binary units; the first half is the left side of the Boltzmann machine."""
        return self.num_groups * self.units_per_group

    @property
    def beta_row(self) -> str:
        """The row of `BETA`."""
        if self.num_groups > 1:
            return "2-nonlin"
        return "1-nonlin" if self.hidden_units or self.channels else "1-lin"

    @property
    def name(self) -> str:
        """Its key in `STRUCTURES` or, for other sizes, `GROUPSxUNITS-HIDDEN-HIDDEN…`.

        Further parts are `convCHANNELS.CHANNELS…` and `localGROUPSxUNITS`.
        """
        for name, known in STRUCTURES.items():
            if known == self:
                return name
        parts = [f"{self.num_groups}x{self.units_per_group}", *map(str, self.hidden_units or ["lin"])]
        if self.channels:
            parts.append("conv" + ".".join(map(str, self.channels)))
        if self.num_local_groups:
            parts.append(f"local{self.num_local_groups}x{self.local_units}")
        return "-".join(parts)


STRUCTURES = {
    "1-layer-lin": Structure(1, 200, ()),
    "1-layer-nonlin": Structure(1, 200, (200, 200)),
    "2-layer-lin": Structure(2, 200, (200,)),
    "2-layer-nonlin": Structure(2, 200, (200, 200)),
    "4-layer-nonlin": Structure(4, 100, (200, 200)),
    "1-layer-small": Structure(1, 32, (64,)),
    "2-layer-small": Structure(2, 16, (64,)),
    "1-layer-conv": Structure(1, 200, (200,), (16, 16), 1, 2),
    "2-layer-conv": Structure(2, 200, (200,), (16, 16), 2, 2),
}


class DatasetFacts(NamedTuple):
    """What a recipe needs to know of a dataset.

    Attributes:
      dynamic_binarization: whether training images are pixel probabilities, binarized anew in every batch.
      betas: which part of `BETA` applies.
      likelihood: that of a recipe that names none, a key of `LIKELIHOODS`.
      image_shape: (height, width) of the images, or (height, width, 3).
    """

    dynamic_binarization: bool
    betas: str = "mnist"
    likelihood: str = "bernoulli"
    image_shape: tuple[int, ...] = (28, 28)


DATASETS = {
    "digits": DatasetFacts(True, image_shape=(8, 8)),
    "binarized_mnist": DatasetFacts(False),
    "omniglot": DatasetFacts(True, "omniglot"),
    "caltech101_silhouettes": DatasetFacts(False),
    "mnist": DatasetFacts(True),
    "cifar10": DatasetFacts(True, likelihood="logistic_mixture", image_shape=(32, 32, 3)),
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
