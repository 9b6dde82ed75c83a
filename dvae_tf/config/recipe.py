"""A recipe: every number and name that determines a run, and the published values of each cell.

Sources: DVAE# paper (Sec. 4) and GumBolt paper (Sec. 5); a dagger marks facts of the published experiments
that the papers leave out.
"""

import dataclasses
import json
import math
import re
from typing import Any

from .published import PUBLISHED, PublishedNLL
from .structures import BETA, DATASETS, STRUCTURES, Structure
from .systems import BASELINES, SAMPLERS, SYSTEMS, System

_DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines a run; the defaults are the published recipe.

    The size of the sampler is the exception: the paper used 1000 states and 40 sweeps, the default is a
    size for two CPU cores. A `dataset` that is not in `DATASETS` is the user's own.
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
    # Pairs (fraction of the run, factor of base_lr from then on) (dagger).
    lr_steps: tuple[tuple[float, float], ...] = (
        (0.0, 0.1),
        (0.02, 1.0),
        (0.6, 1 / 3),
        (0.75, 0.1),
        (0.95, 1 / 33),
    )
    adam_epsilon: float = 1e-3
    kl_warmup_fraction: float = 0.3
    # L2 penalty: half the squared norm of kernels, batch-norm scales and W, times this (dagger).
    weight_decay: float = 1e-4
    batch_norm_momentum: float = 0.8
    batch_norm_epsilon: float = 1e-2
    num_mean_field_iterations: int = 5
    couplings: bool = True
    sampler: str = "pcd"
    num_chains: int = 100
    num_sweeps: int = 20
    # Size of the population that tracks log Z between validations (`priors.BoltzmannPrior`); 0 for none.
    num_tracking_chains: int = 0
    # Data-parallel replicas of a step, each with a part of the batch and of the chains: one per device.
    num_replicas: int = 1
    num_validations: int = 50
    # Validations without improvement before training stops early; None trains to the end.
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
        """The test NLL that the paper reports for this cell; None if it reports none."""
        return PUBLISHED.get((self.dataset, self.struct, self.baseline, self.k))

    @property
    def kl_warmup_steps(self) -> float:
        """Training steps over which the weight of the KL term rises linearly from 0 to 1."""
        return self.kl_warmup_fraction * self.num_train_iter

    @property
    def validation_interval(self) -> int:
        """Training steps from one validation to the next."""
        return math.ceil(self.num_train_iter / self.num_validations)

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: Any) -> "Recipe":
        """The inverse of `to_json`; also reads the configurations of earlier versions.

        Raises:
          ValueError: if a field is missing, unknown, or has a bad value, naming it.
        """
        if not isinstance(values, dict):
            raise ValueError(f"config: expected a JSON object, got {type(values).__name__}")
        values = {_RENAMED.get(name, name): value for name, value in values.items()}
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"config: unknown fields {unknown}")
        # An unknown dataset is refused below.
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
      dataset: a key of `DATASETS`, or a name for your own data; then `dynamic_binarization` must be among
        the changes, and the sharpness defaults to that of MNIST.
      struct: a key of `STRUCTURES`.
      baseline: one of `BASELINES`.
      k: importance samples of the training bound.
      beta: the sharpness; None means the published one of the cell (and stays None for the systems that
        have a temperature instead).
      **changes: other fields of `Recipe`.

    Raises:
      ValueError: if a name is unknown (the message lists the known ones) or a number out of range.
    """
    _check_name("baseline", baseline, BASELINES)
    _check_name("struct", struct, STRUCTURES)
    if dataset in DATASETS:
        changes = {"dynamic_binarization": DATASETS[dataset].dynamic_binarization} | changes
    elif "dynamic_binarization" not in changes:
        raise ValueError(
            f"dataset: expected one of {', '.join(DATASETS)}; got {dataset!r}. For images of your own pass "
            "dynamic_binarization as well: whether they are grey levels, not images.is_binary"
        )
    if changes.get("sampler") == "pa":
        # The papers' population annealing tracks log Z during training.
        changes = {"num_tracking_chains": changes.get("num_chains", Recipe.num_chains)} | changes
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


# Fields added since version 0.1, absent from older configurations, and fields renamed since.
_ADDED = {"temperature", "prior_temperature", "patience", "num_tracking_chains", "num_replicas"}
_RENAMED = {"num_witnesses": "num_tracking_chains"}
_MAY_BE_ZERO = {"seed", "weight_decay", "kl_warmup_fraction", "num_tracking_chains"}

# Sizes and seeds are int32.
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
