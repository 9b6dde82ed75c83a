"""Names and numbers of the published experiments: structures, sharpness, recipe, figures to match.

No class of the library: a `Recipe` is all that a run is made of, as plain numbers and names.
Sources: DVAE# paper (Sec. 4, Table 1); a dagger marks facts of the published experiments that the
paper leaves out.
"""

import dataclasses
import json
import math
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """Groups of the posterior and the deterministic tanh layers of every network."""

    num_groups: int
    units_per_group: int
    hidden_units: tuple[int, ...]

    @property
    def num_units(self) -> int:
        """D: all binary units; the first half is the left side of the machine."""
        return self.num_groups * self.units_per_group


STRUCTURES = {
    "1-layer-lin": Structure(1, 200, ()),
    "1-layer-nonlin": Structure(1, 200, (200, 200)),
    "2-layer-nonlin": Structure(2, 200, (200, 200)),
    "4-layer-nonlin": Structure(4, 100, (200, 200)),
    "1-layer-small": Structure(1, 32, (64,)),
    "2-layer-small": Structure(2, 16, (64,)),
}


class DatasetFacts(NamedTuple):
    """What a recipe needs to know of a dataset before it is loaded."""

    image_shape: tuple[int, int]
    num_train: int
    dynamic_binarization: bool


DATASETS = {
    "digits": DatasetFacts((8, 8), 1_297, True),
    "binarized_mnist": DatasetFacts((28, 28), 50_000, False),
}

# beta by (baseline, struct), cross-validated by the authors on MNIST (dagger); digits follow.
BETA = {
    "dvaes_power": {
        "1-layer-lin": 40.0,
        "1-layer-nonlin": 40.0,
        "2-layer-nonlin": 30.0,
        "4-layer-nonlin": 30.0,
        "1-layer-small": 40.0,
        "2-layer-small": 30.0,
    },
}
BASELINES = tuple(BETA)

SAMPLERS = ("pcd",)


class PublishedNLL(NamedTuple):
    """A cell of a paper's table: negative log-likelihood in nats, mean and deviation of five runs."""

    mean: float
    standard_deviation: float


# DVAE# paper, Table 1: (dataset, struct, baseline) -> K -> nats.
PUBLISHED = {
    ("binarized_mnist", "1-layer-lin", "dvaes_power"): {
        1: PublishedNLL(89.35, 0.06),
        5: PublishedNLL(88.25, 0.03),
        25: PublishedNLL(87.67, 0.07),
    },
    ("binarized_mnist", "1-layer-nonlin", "dvaes_power"): {
        1: PublishedNLL(84.93, 0.02),
        5: PublishedNLL(84.21, 0.02),
        25: PublishedNLL(83.93, 0.06),
    },
    ("binarized_mnist", "2-layer-nonlin", "dvaes_power"): {
        1: PublishedNLL(83.37, 0.02),
        5: PublishedNLL(82.99, 0.04),
        25: PublishedNLL(82.85, 0.03),
    },
    ("binarized_mnist", "4-layer-nonlin", "dvaes_power"): {
        1: PublishedNLL(83.18, 0.05),
        5: PublishedNLL(82.95, 0.07),
        25: PublishedNLL(82.82, 0.02),
    },
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines a run; the defaults are the published recipe.

    The sampler's size is the exception: the paper used 1000 states and 40 sweeps, the default here is
    what two CPU cores carry.
    """

    dataset: str
    struct: str
    baseline: str
    k: int
    beta: float
    seed: int = 0
    num_train_iter: int = 1_000_000
    train_batchsize: int = 100
    base_lr: float = 3e-3
    # (fraction of the run, factor of base_lr from there on) (dagger).
    lr_steps: tuple[tuple[float, float], ...] = (
        (0.0, 0.1),
        (0.02, 1.0),
        (0.6, 1 / 3),
        (0.75, 0.1),
        (0.95, 1 / 33),
    )
    adam_epsilon: float = 1e-3
    kl_warmup_fraction: float = 0.3
    # L2 in the loss, half the squared norm of kernels, batch-norm scales and W (dagger).
    weight_decay: float = 1e-4
    batch_norm_momentum: float = 0.8
    batch_norm_epsilon: float = 1e-2
    num_mean_field_iterations: int = 5
    couplings: bool = True
    sampler: str = "pcd"
    num_chains: int = 100
    num_sweeps: int = 20
    num_validations: int = 50
    validation_iw_samples: int = 100
    validation_ais_temperatures: int = 1_000
    eval_batchsize: int = 100
    eval_iw_samples: int = 4_000
    ais_temperatures: int = 10_000
    ais_chains: int = 1_000

    def __post_init__(self) -> None:
        for name, known in (
            ("dataset", DATASETS),
            ("struct", STRUCTURES),
            ("baseline", BASELINES),
            ("sampler", SAMPLERS),
        ):
            _check_name(name, getattr(self, name), known)
        for field in dataclasses.fields(self):
            _check_number(field, getattr(self, field.name))
        if self.train_batchsize > self.facts.num_train:
            raise ValueError(
                f"train_batchsize: expected at most the {self.facts.num_train} training images of "
                f"{self.dataset}, got {self.train_batchsize}"
            )
        starts = [start for start, _ in self.lr_steps]
        if not starts or starts[0] != 0.0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ValueError(
                "lr_steps: expected pairs (fraction, factor) with fractions rising from 0 to below 1, "
                f"got {self.lr_steps}"
            )

    @property
    def structure(self) -> Structure:
        """The row of `STRUCTURES`."""
        return STRUCTURES[self.struct]

    @property
    def facts(self) -> DatasetFacts:
        """The row of `DATASETS`."""
        return DATASETS[self.dataset]

    @property
    def published(self) -> PublishedNLL | None:
        """The paper's figure for this cell, where there is one."""
        return PUBLISHED.get((self.dataset, self.struct, self.baseline), {}).get(self.k)

    @property
    def validation_interval(self) -> int:
        """Training steps from one validation to the next."""
        return math.ceil(self.num_train_iter / self.num_validations)

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Recipe":
        """The inverse of `to_json`.

        Raises:
          ValueError: if a field is missing, unknown, or has a bad value, naming it.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"config: unknown fields {unknown}")
        if missing := sorted(known - set(values)):
            raise ValueError(f"config: missing fields {missing}")
        steps = tuple((float(start), float(factor)) for start, factor in values["lr_steps"])
        return cls(**{**values, "lr_steps": steps})


def recipe(
    dataset: str, struct: str, baseline: str, k: int, beta: float | None = None, **changes: Any
) -> Recipe:
    """Returns the published recipe of one cell, with changes.

    Args:
      dataset: a key of `DATASETS`.
      struct: a key of `STRUCTURES`.
      baseline: one of `BASELINES`.
      k: importance samples of the training bound.
      beta: the sharpness; None takes the published one of the cell.
      **changes: other fields of `Recipe`.

    Raises:
      ValueError: if a name is unknown (the message lists the known ones) or a number out of range.
    """
    _check_name("baseline", baseline, BASELINES)
    _check_name("struct", struct, STRUCTURES)
    if beta is None:
        beta = BETA[baseline][struct]
    return Recipe(dataset, struct, baseline, k, beta, **changes)


def _check_name(argument: str, name: Any, known: Any) -> None:
    if name not in known:
        raise ValueError(f"{argument}: expected one of {', '.join(known)}; got {name!r}")


_MAY_BE_ZERO = {"seed", "weight_decay", "kl_warmup_fraction"}


def _check_number(field: dataclasses.Field, value: Any) -> None:
    if field.type not in (int, float):
        return
    least = "at least 0" if field.name in _MAY_BE_ZERO else "above 0"
    good = isinstance(value, field.type | int) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or value < 0 or (value == 0 and "above" in least):
        raise ValueError(f"{field.name}: expected {field.type.__name__} {least}, got {value!r}")
