"""A recipe: every number and name that determines a run, and the published values of each cell.

Sources: DVAE# paper (Sec. 4) and GumBolt paper (Sec. 5); a dagger marks facts of the published experiments
that the papers leave out.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .image_shape import as_image_shape
from .published import PUBLISHED, PublishedNLL
from .schedules import SCHEDULES, changes_of, fields_of
from .structures import BETA, DATASETS, STRUCTURES, Structure
from .systems import DIRECTED_PRIORS, GRAPHS, LIKELIHOODS, SAMPLERS, SYSTEMS, System, check_estimator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines a run; the defaults are the published recipe.

    Three are not: the DVAE# paper used 1000 states and 40 sweeps, the default is a size for two CPU cores;
    the statistics of batch norm are averaged anew before they are used; and the weight of the KL terms of
    local variables rises sooner than that of the code's. A `dataset` that is not in `DATASETS`
    is the user's own, and so is a `struct` that is not in `STRUCTURES`. NumPy numbers become Python's.
    """

    dataset: str
    struct: str
    baseline: str
    k: int
    beta: float | None
    dynamic_binarization: bool
    # Sizes of the code and of its networks; None takes those of `struct`.
    num_groups: int | None = None
    units: int | None = None
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    num_local_groups: int | None = None
    local_units: int | None = None
    # (height, width) or (height, width, 3) of the images; None takes that of the dataset.
    image_shape: tuple[int, ...] | None = None
    # The graph of the machine: a name of `GRAPHS`, "random-M" for a random bipartite one of M edges
    # (`graphs.random_bipartite`), or a file with its edges (`graphs.read_edges`).
    graph: str = "bipartite"
    likelihood: str = "bernoulli"
    # The run folder or pretrained model whose weights and chains training starts from.
    init_from: str | None = None
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
    # The weights of the KL terms of the code and of local variables rise to 1 in these parts of the run.
    kl_warmup_fraction: float = 0.3
    local_kl_warmup_fraction: float = 0.15
    # L2 penalty: half the squared norm of kernels, batch-norm scales and W, times this (dagger).
    weight_decay: float = 1e-4
    # A key of `SCHEDULES`, which sets those of the following fields that it changes.
    schedule: str = "published"
    # Whether the machine is trained in centered units, z - 1/2 (`models.centering`).
    centered: bool = False
    # Whether the negative phase averages free energies instead of energies.
    rao_blackwellized: bool = False
    # Fraction of the run from which on the bound takes `late_k` samples; None for no such part.
    late_start: float | None = None
    late_k: int | None = None
    # Fraction of the run from which on only the encoder is trained; None for no such part.
    refit_start: float | None = None
    # Training batches whose statistics are averaged for the batch norms of validation and test.
    batch_norm_batches: int = 300
    batch_norm_momentum: float = 0.8
    batch_norm_epsilon: float = 1e-2
    num_mean_field_iterations: int = 5
    couplings: bool = True
    # Doubly reparameterized gradients of the encoder (`estimators.doubly_reparameterized`).
    doubly_reparameterized: bool = False
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
        for name in ("dataset", "struct"):
            _check_own_name(name, getattr(self, name))
        for name, known in (
            ("baseline", SYSTEMS),
            ("sampler", SAMPLERS),
            ("likelihood", LIKELIHOODS),
            ("schedule", SCHEDULES),
        ):
            _check_name(name, getattr(self, name), known)
        if not isinstance(self.graph, str) or not self.graph:
            raise ValueError(
                f"graph: expected one of {', '.join(GRAPHS)}, random-M (M edges), or a file of edges, "
                f"got {self.graph!r}"
            )
        if self.graph != Recipe.graph and self.system.prior in DIRECTED_PRIORS:
            raise ValueError(
                f"graph: expected {Recipe.graph} for {self.baseline}, whose prior is no machine, "
                f"got {self.graph!r}"
            )
        if not isinstance(self.init_from, str | None):
            raise ValueError(f"init_from: expected a folder or a name, got {self.init_from!r}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                value = value.item()
                object.__setattr__(self, field.name, value)
            _check_number(field, value)
        self._set_sizes()
        if self.dynamic_binarization and LIKELIHOODS[self.likelihood].pixels != "bits":
            raise ValueError(
                f"dynamic_binarization: expected false for {self.likelihood}, a likelihood of "
                f"{LIKELIHOODS[self.likelihood].pixels}, got {self.dynamic_binarization}"
            )
        if self.ais_chains < 2:
            raise ValueError(f"ais_chains: expected at least 2 for a standard error, got {self.ais_chains}")
        self._check_sharpness()
        if self.doubly_reparameterized and not self.system.weighs_densities:
            raise ValueError(
                "doubly_reparameterized: expected true only for systems whose importance weights are ratios "
                f"of densities of zeta (dvaes_…, concrete), got it for {self.baseline}"
            )
        check_estimator(self.estimator, self.k, self.structure.num_groups)
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
        self._check_last_parts()

    def _set_sizes(self) -> None:
        """Sizes that are not given are those of `struct`; given ones must agree with them."""
        structure = _structure(self.struct, vars(self))
        for name, field in _SIZES.items():
            object.__setattr__(self, name, getattr(structure, field))
        if (known := STRUCTURES.get(self.struct, structure)) != structure:
            raise ValueError(f"struct: expected another name than {self.struct!r}, which is {known}")
        if structure.num_units < 2:
            raise ValueError(f"units: expected at least 2 in all groups together, got {self.units}")
        if structure.num_local_groups and not structure.local_units:
            raise ValueError(
                f"local_units: expected at least 1 for {structure.num_local_groups} local groups, got 0"
            )
        if self.image_shape is not None:
            object.__setattr__(self, "image_shape", as_image_shape(self.image_shape))

    def _check_last_parts(self) -> None:
        """Parts of the run have a beginning, and the late one a number of samples."""
        if (self.late_start is None) != (self.late_k is None):
            raise ValueError(
                f"late_k: expected a number of samples together with late_start, got {self.late_k} with "
                f"{self.late_start}"
            )
        if self.late_k is not None:
            check_estimator(self.estimator, self.late_k, self.structure.num_groups)
        for name in ("late_start", "refit_start"):
            start = getattr(self, name)
            if start is not None and not start < 1:
                raise ValueError(f"{name}: expected a fraction of the run below 1, got {start}")

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
    def estimator(self) -> str:
        """The name of the gradient estimator, a key of `ESTIMATORS`."""
        return "doubly_reparameterized" if self.doubly_reparameterized else self.system.estimator

    @property
    def structure(self) -> Structure:
        """The sizes of the code and of its networks."""
        return Structure(*(getattr(self, name) for name in _SIZES))

    @property
    def published(self) -> PublishedNLL | None:
        """The test NLL that the paper reports for this cell; None if it reports none."""
        if self.graph != Recipe.graph:
            return None
        return PUBLISHED.get((self.dataset, self.struct, self.baseline, self.k))

    @property
    def known_image_shape(self) -> tuple[int, ...] | None:
        """The shape of the images: `image_shape`, or that of a dataset of the library; None if not known."""
        facts = DATASETS.get(self.dataset)
        return self.image_shape if self.image_shape or facts is None else facts.image_shape

    @property
    def kl_warmup_steps(self) -> float:
        """Training steps over which the weight of the code's KL term rises linearly from 0 to 1.

        Weights that training starts from are past it.
        """
        return 0.0 if self.init_from else self.kl_warmup_fraction * self.num_train_iter

    @property
    def local_kl_warmup_steps(self) -> float:
        """The same for the KL terms of local variables; 0 without any."""
        if self.init_from or not self.structure.num_local_groups:
            return 0.0
        return self.local_kl_warmup_fraction * self.num_train_iter

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
        # Configurations without this field are of runs that used the running statistics.
        values.setdefault("batch_norm_batches", 0)
        if missing := sorted(known - set(values) - _ADDED):
            raise ValueError(f"config: missing fields {missing}")
        try:
            steps = tuple((float(start), float(factor)) for start, factor in values["lr_steps"])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"lr_steps: expected pairs of numbers: {error}") from error
        values = values | {"lr_steps": steps}
        for name, expected in _LISTS.items():
            if (given := values.get(name)) is not None:
                values[name] = _sizes(name, expected, given)
        made = cls(**values)
        if "local_kl_warmup_fraction" not in values and made.structure.num_local_groups:
            # Configurations without this field are of runs with one weight of all KL terms.
            made = dataclasses.replace(made, local_kl_warmup_fraction=made.kl_warmup_fraction)
        return made


def recipe(
    dataset: str, struct: str, baseline: str, k: int, beta: float | None = None, **changes: Any
) -> Recipe:
    """Returns the published recipe of one cell, with changes.

    Args:
      dataset: a key of `DATASETS`, or a name for your own data; then `dynamic_binarization` must be among
        the changes, and the sharpness defaults to that of MNIST.
      struct: a key of `STRUCTURES`, or a name for your own `num_groups`, `units` (of each group) and `hidden`
        (sizes of hidden layers), which must be among the changes then; `channels`, `num_local_groups` and
        `local_units` may be. With a key of `STRUCTURES`, changed sizes change the name as well
        (`Structure.name`): `num_local_groups=0` leaves out the local variables.
      baseline: a key of `SYSTEMS`.
      k: samples of an image in a training step. They tighten an importance-weighted bound and average an
        ELBO; rloo and vimco need at least 2, disarm an even number.
      beta: the sharpness; None means the published one of the cell (and stays None for the systems that
        have a temperature instead).
      **changes: other fields of `Recipe`.

    Raises:
      ValueError: if a name is unknown (the message lists the known ones) or a number out of range.
    """
    _check_name("baseline", baseline, SYSTEMS)
    _check_name("schedule", schedule := changes.get("schedule", Recipe.schedule), SCHEDULES)
    _check_own_name("struct", struct)
    structure = _structure(struct, changes)
    if struct in STRUCTURES:
        struct = structure.name
    changes = changes | dict(zip(_SIZES, structure, strict=True))
    if dataset in DATASETS:
        changes = {"likelihood": DATASETS[dataset].likelihood} | changes
        likelihood = LIKELIHOODS.get(changes["likelihood"])
        bits = likelihood is None or likelihood.pixels == "bits"
        changes = {"dynamic_binarization": bits and DATASETS[dataset].dynamic_binarization} | changes
    elif "dynamic_binarization" not in changes:
        raise ValueError(
            f"dataset: expected one of {', '.join(DATASETS)}; got {dataset!r}. For images of your own pass "
            "dynamic_binarization as well: whether they are gray levels, not images.is_binary"
        )
    if changes.get("sampler") == "pa":
        # The papers' population annealing tracks log Z during training.
        changes = {"num_tracking_chains": changes.get("num_chains", Recipe.num_chains)} | changes
    system = SYSTEMS[baseline]
    if beta is None and system.beta is not None:
        beta = _published_beta(system.beta, dataset, structure)
    scheduled = fields_of(changes_of(schedule, system, k, structure.num_groups))
    return Recipe(dataset, struct, baseline, k, beta, **{**system.recipe, **scheduled, **changes})


def _structure(struct: str, given: Mapping[str, Any]) -> Structure:
    """The sizes of a named structure, with those that are given."""
    known = STRUCTURES.get(struct)
    sizes: dict[str, Any] = {}
    for name, field in _SIZES.items():
        size = given.get(name)
        if size is None and known is None and field not in Structure._field_defaults:
            raise ValueError(
                f"struct: expected one of {', '.join(STRUCTURES)}, or a name of your own with "
                f"{', '.join(_REQUIRED_SIZES)}; got {struct!r} without {name}"
            )
        if size is None:
            size = Structure._field_defaults[field] if known is None else getattr(known, field)
        sizes[field] = _sizes(name, _LISTS[name], size) if name in _LISTS else size
    if not sizes["num_local_groups"]:
        sizes["local_units"] = 0
    return Structure(**sizes)


def _published_beta(column: str | float, dataset: str, structure: Structure) -> float:
    if not isinstance(column, str):
        return column
    betas = DATASETS[dataset].betas if dataset in DATASETS else "mnist"
    return float(getattr(BETA[betas, structure.beta_row], column))


def _sizes(name: str, expected: str, sizes: Any) -> tuple[int, ...]:
    """A list of sizes, checked; `expected` says of what, for the message."""
    given = sizes.tolist() if isinstance(sizes, np.ndarray) else sizes
    if isinstance(given, Sequence) and not isinstance(given, str):
        found = tuple(size.item() if isinstance(size, np.generic) else size for size in given)
        if all(type(size) is int and 0 < size < _LIMIT for size in found):
            return found
    raise ValueError(f"{name}: expected {expected}, integers above 0, got {sizes!r}")


def _check_own_name(argument: str, name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{argument}: expected a name of letters, digits and any of . _ -, got {name!r}")


def _check_name(argument: str, name: Any, known: Any) -> None:
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"{argument}: expected one of {', '.join(known)}; got {name!r}. Parts of your own are registered "
            "first (`dvae_tf.models.register_…`)"
        )


# Fields added since version 0.1, absent from older configurations, and fields renamed since.
_ADDED = {
    "temperature",
    "prior_temperature",
    "patience",
    "num_tracking_chains",
    "num_replicas",
    "num_groups",
    "units",
    "hidden",
    "graph",
    "likelihood",
    "init_from",
    "schedule",
    "centered",
    "rao_blackwellized",
    "late_start",
    "late_k",
    "refit_start",
    "doubly_reparameterized",
    "channels",
    "num_local_groups",
    "local_units",
    "image_shape",
    "local_kl_warmup_fraction",
}
_RENAMED = {"num_witnesses": "num_tracking_chains"}
_MAY_BE_ZERO = {
    "seed",
    "weight_decay",
    "kl_warmup_fraction",
    "local_kl_warmup_fraction",
    "num_tracking_chains",
    "batch_norm_batches",
    "num_local_groups",
    "local_units",
}

# Fields with the sizes of the code and of its networks, and those of `Structure`.
_SIZES = {
    "num_groups": "num_groups",
    "units": "units_per_group",
    "hidden": "hidden_units",
    "channels": "channels",
    "num_local_groups": "num_local_groups",
    "local_units": "local_units",
}
# Those that a structure of your own must have.
_REQUIRED_SIZES = [name for name, field in _SIZES.items() if field not in Structure._field_defaults]
# Fields that are lists of sizes, and what they are.
_LISTS = {
    "hidden": "sizes of hidden layers",
    "channels": "numbers of channels",
    "image_shape": "(height, width) or (height, width, 3)",
}

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
