"""Names and numbers of the published experiments: structures, systems, sharpness, recipe, figures.

No class of the library: a `Recipe` is all that a run is made of, as plain numbers and names; what the
names stand for is in `models.systems`. Sources: DVAE# paper (Sec. 4, Table 1) and GumBolt paper (Sec. 5,
Tables 1 and 2); a dagger marks facts of the published experiments that the papers leave out.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .published import PUBLISHED, PublishedNLL


class Structure(NamedTuple):
    """Groups of the posterior, the deterministic tanh layers of every network, the row of `BETA`."""

    num_groups: int
    units_per_group: int
    hidden_units: tuple[int, ...]
    beta_row: str

    @property
    def num_units(self) -> int:
        """D: all binary units; the first half is the left side of the machine."""
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
    """What a recipe takes from a dataset.

    Attributes:
      dynamic_binarization: whether training images are pixel probabilities, drawn afresh for every batch.
      betas: the part of `BETA`.
    """

    dynamic_binarization: bool
    betas: str = "mnist"


DATASETS = {
    "digits": DatasetFacts(True),
    "binarized_mnist": DatasetFacts(False),
    "omniglot": DatasetFacts(True, "omniglot"),
    "caltech101_silhouettes": DatasetFacts(False, "omniglot"),
}
_DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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


class System(NamedTuple):
    """What a baseline is made of, by name.

    Attributes:
      relaxation: of the posterior's bits.
      prior: the machine or network under the code, and how it is relaxed.
      kl: log q - log p in the bound: at the sample, or in closed form.
      bound: how K samples of it become one number.
      beta: a column of `Betas`, or a number; None where the relaxation has a temperature.
      recipe: fields of `Recipe` that differ from the DVAE# paper's.
    """

    relaxation: str
    prior: str
    kl: str
    bound: str
    beta: str | float | None = None
    recipe: Mapping[str, Any] = MappingProxyType({})


# GumBolt paper, Sec. 5; Adam as it comes.
_GUMBOLT = {
    "temperature": 1 / 7,
    "adam_epsilon": 1e-7,
    "lr_steps": ((0.0, 1.0), (0.6, 0.3), (0.75, 0.09), (0.95, 0.027)),
}

SYSTEMS = {
    "dvae_spike_exp": System("spike_exponential", "boltzmann", "dvae", "elbo", "spike_exp"),
    "dvaepp_exp": System("exponential", "boltzmann", "joint", "elbo", "pp_exp"),
    "dvaepp_logistic": System("logistic", "boltzmann", "joint", "elbo", 8.0),
    "dvaepp_power": System("power", "boltzmann", "joint", "elbo", "pp_power"),
    "dvaepp_directed": System("exponential", "directed", "bernoulli", "elbo", "pp_exp"),
    "dvaes_gi": System("shifted_gaussian", "gaussian_integral", "sampled", "importance_weighted", "gi"),
    "dvaes_gauss": System("gaussian", "overlapping", "sampled", "importance_weighted", "gauss"),
    "dvaes_exp": System("exponential", "overlapping", "sampled", "importance_weighted", "exp"),
    "dvaes_unexp": System("uniform_exponential", "overlapping", "sampled", "importance_weighted", "unexp"),
    "dvaes_power": System("power", "overlapping", "sampled", "importance_weighted", "power"),
    "gumbolt": System("concrete", "gumbolt", "proxy", "importance_weighted", None, _GUMBOLT),
    "gumbolt_nw": System(
        "concrete", "gumbolt", "proxy", "importance_weighted", None, _GUMBOLT | {"couplings": False}
    ),
    # Maddison et al. (2017): densities on both sides, each with its temperature.
    "concrete": System(
        "concrete",
        "relaxed_directed",
        "sampled",
        "importance_weighted",
        None,
        {"temperature": 2 / 3, "prior_temperature": 1 / 2},
    ),
    # Jang et al. (2017).
    "gumbel_softmax": System("concrete", "directed", "bernoulli", "elbo", None, {"temperature": 1 / 2}),
}
BASELINES = tuple(SYSTEMS)

# Persistent chains, population annealing, parallel tempering.
SAMPLERS = ("pcd", "pa", "pt")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines a run; the defaults are the published recipe.

    The sampler's size is the exception: the paper used 1000 states and 40 sweeps, the default here is
    what two CPU cores carry. A `dataset` that is not in `DATASETS` is the user's own.
    """

    dataset: str
    struct: str
    baseline: str
    k: int
    beta: float | None
    dynamic_binarization: bool
    temperature: float | None = None
    prior_temperature: float | None = None
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
    # Replicas that bring log Z along between validations (`priors.BoltzmannPrior`); 0 for none.
    num_witnesses: int = 0
    # Shares of a step, each with a part of the batch and of the chains, and draws of its own: as many devices
    # can take part.
    num_replicas: int = 1
    num_validations: int = 50
    # Validations without a better one before training stops early; None goes on to the end.
    patience: int | None = None
    validation_iw_samples: int = 100
    validation_ais_temperatures: int = 1_000
    eval_batchsize: int = 100
    eval_iw_samples: int = 4_000
    ais_temperatures: int = 10_000
    ais_chains: int = 1_000

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not _DATASET_NAME.fullmatch(self.dataset):
            raise ValueError(
                f"dataset: expected a name of letters, digits and any of . _ -, got {self.dataset!r}"
            )
        for name, known in (
            ("struct", STRUCTURES),
            ("baseline", BASELINES),
            ("sampler", SAMPLERS),
        ):
            _check_name(name, getattr(self, name), known)
        for field in dataclasses.fields(self):
            _check_number(field, getattr(self, field.name))
        self._check_sharpness()
        for name in ("train_batchsize", "num_chains"):
            if getattr(self, name) % self.num_replicas:
                raise ValueError(
                    f"{name}: expected a multiple of num_replicas, {self.num_replicas}, "
                    f"got {getattr(self, name)}"
                )
        starts = [start for start, _ in self.lr_steps]
        factors = [factor for _, factor in self.lr_steps]
        rising = starts[:1] == [0.0] and starts == sorted(set(starts)) and starts[-1] < 1
        # NaN compares false.
        if not (rising and all(0 <= factor < math.inf for factor in factors)):
            raise ValueError(
                "lr_steps: expected pairs (fraction, factor) with fractions rising from 0 to below 1, "
                f"got {self.lr_steps}"
            )

    def _check_sharpness(self) -> None:
        """A baseline has a beta or temperatures, as its row of `SYSTEMS` says; never both."""
        row = self.system
        for name, wanted in (
            ("beta", row.beta is not None),
            ("temperature", "temperature" in row.recipe),
            ("prior_temperature", "prior_temperature" in row.recipe),
        ):
            value = getattr(self, name)
            if wanted != (value is not None):
                expected = "a number" if wanted else "none"
                raise ValueError(f"{name}: expected {expected} for {self.baseline}, got {value!r}")

    @property
    def system(self) -> System:
        """The row of `SYSTEMS`."""
        return SYSTEMS[self.baseline]

    @property
    def structure(self) -> Structure:
        """The row of `STRUCTURES`."""
        return STRUCTURES[self.struct]

    @property
    def published(self) -> PublishedNLL | None:
        """The paper's figure for this cell, where there is one."""
        return PUBLISHED.get((self.dataset, self.struct, self.baseline, self.k))

    @property
    def validation_interval(self) -> int:
        """Training steps from one validation to the next."""
        return math.ceil(self.num_train_iter / self.num_validations)

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: Any) -> "Recipe":
        """The inverse of `to_json`; fields that there were not at first may be missing.

        Raises:
          ValueError: if a field is missing, unknown, or has a bad value, naming it.
        """
        if not isinstance(values, dict):
            raise ValueError(f"config: expected a JSON object, got {type(values).__name__}")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"config: unknown fields {unknown}")
        values = dict(values)
        # Whatever else it is is refused below.
        if (name := str(values.get("dataset"))) in DATASETS:
            values.setdefault("dynamic_binarization", DATASETS[name].dynamic_binarization)
        if missing := sorted(known - set(values) - _ADDED):
            raise ValueError(f"config: missing fields {missing}")
        try:
            steps = tuple((float(start), float(factor)) for start, factor in values["lr_steps"])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"lr_steps: expected pairs of numbers: {error}") from error
        return cls(**values | {"lr_steps": steps})


def recipe(
    dataset: str, struct: str, baseline: str, k: int, beta: float | None = None, **changes: Any
) -> Recipe:
    """Returns the published recipe of one cell, with changes.

    Args:
      dataset: a key of `DATASETS`, or a name for data of your own; then `dynamic_binarization` has to be
        among the changes, and MNIST's sharpness is taken where none is given.
      struct: a key of `STRUCTURES`.
      baseline: one of `BASELINES`.
      k: importance samples of the training bound.
      beta: the sharpness; None takes the published one of the cell (and stays None for the systems
        that have a temperature instead).
      **changes: other fields of `Recipe`.

    Raises:
      ValueError: if a name is unknown (the message lists the known ones) or a number out of range.
    """
    _check_name("baseline", baseline, BASELINES)
    _check_name("struct", struct, STRUCTURES)
    if dataset in DATASETS:
        changes = {"dynamic_binarization": DATASETS[dataset].dynamic_binarization} | changes
    elif "dynamic_binarization" not in changes:
        _check_name("dataset", dataset, DATASETS)
    if changes.get("sampler") == "pa":
        # With this one, log Z is tracked as the papers' population annealing would.
        changes = {"num_witnesses": changes.get("num_chains", Recipe.num_chains)} | changes
    system = SYSTEMS[baseline]
    if beta is None and system.beta is not None:
        beta = _published_beta(system.beta, dataset, struct)
    return Recipe(dataset, struct, baseline, k, beta, **{**system.recipe, **changes})


def _published_beta(column: str | float, dataset: str, struct: str) -> float:
    if not isinstance(column, str):
        return column
    betas = DATASETS[dataset].betas if dataset in DATASETS else "mnist"
    return float(getattr(BETA[betas, STRUCTURES[struct].beta_row], column))


def _check_name(argument: str, name: Any, known: Any) -> None:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{argument}: expected one of {', '.join(known)}; got {name!r}")


# Fields that the first configurations did not have.
_ADDED = {"temperature", "prior_temperature", "patience", "num_witnesses", "num_replicas"}
_MAY_BE_ZERO = {"seed", "weight_decay", "kl_warmup_fraction", "num_witnesses"}


# Of every number: sizes and seeds are int32, and nothing else comes near.
_LIMIT = 2**31


def _check_number(field: dataclasses.Field, value: Any) -> None:
    if field.type is bool and not isinstance(value, bool):
        raise ValueError(f"{field.name}: expected true or false, got {value!r}")
    kinds: dict[Any, type] = {float: float, int: int, float | None: float, int | None: int}
    kind = kinds.get(field.type)
    if kind is None or (value is None and kind is not field.type):
        return
    least = "at least 0" if field.name in _MAY_BE_ZERO else "above 0"
    good = isinstance(value, kind | int) and not isinstance(value, bool)
    # NaN compares false.
    if not good or not 0 <= value < _LIMIT or (value == 0 and "above" in least):
        raise ValueError(f"{field.name}: expected {kind.__name__} {least} and below 2^31, got {value!r}")
