"""The result of a run: what `result.json` holds, read and written here only."""

import dataclasses
import json
import pathlib
import types
import typing
from collections.abc import Sequence
from typing import Any, Self

from .. import storage
from .files import RESULT_FILE, file_in

# log Z by these methods has no error.
_WITHOUT_ERROR = ("exact", "normalized")


@dataclasses.dataclass(frozen=True)
class Result:
    """A measured run: plain numbers, in nats and seconds. None means not applicable, or not recorded.

    Attributes:
      dataset: name of the dataset.
      struct: structure of the model.
      baseline: system.
      k: importance samples of the training bound.
      beta: sharpness of the smoothing.
      temperature: of the Concrete relaxation.
      couplings: whether the couplings W were trained.
      seed: of the run.
      sampler: of the negative phase.
      num_chains: of the sampler.
      num_sweeps: of the sampler, for each update.
      num_train_iter: parameter updates of the schedule.
      schedule: of training, a name of `config.SCHEDULES`.
      graph: of the machine: a name, or a file of edges.
      test_nll: negative log-likelihood of the test images under the discrete model.
      test_nll_standard_error: of `test_nll` as an estimate for the population of images.
      test_nll_monte_carlo_error: of `test_nll` for these very images.
      test_bits_per_dim: `test_nll` in bits per pixel and channel, of a likelihood of 8-bit levels.
      eval_iw_samples: importance samples of `test_nll`.
      num_test_images: how many images were measured.
      log_partition: log Z.
      log_partition_standard_error: of log Z.
      log_partition_effective_sample_size: of the annealed chains.
      log_partition_method: "two-sided", "ais" (forward only), "exact" or "normalized".
      log_partition_converged: whether both sides of log Z agree; True where log Z has no error.
      test_nll_bracket: the NLL at the lower and at the upper side of log Z.
      active_units: units whose posterior mean varies over the images.
      num_units: units of the code.
      num_local_groups: groups of local variables.
      num_local_units: local variables of all groups.
      code_kl: KL divergence of the posterior of the bits from their prior, mean over test images.
      local_kl: the same of each local group.
      active_local_units: local variables whose posterior mean varies over the images.
      published_nll: of the same cell, in the papers.
      num_steps: parameter updates taken.
      best_step: the one with the best validation NLL, which was tested.
      best_val_nll: its validation NLL.
      log_partition_tracking_error: largest error of the tracked log Z just before it was measured.
      data_source: where the images came from.
      seconds: of training.
      test_seconds: of the test.
      versions: of the packages that the numbers depend on.
      git_commit: of the code.
      cpu: processor.
      device: what the run was trained on: the GPU and its driver, or the processor; where it was continued on
        another one, both and the step.
    """

    dataset: str
    struct: str
    baseline: str
    k: int
    beta: float | None
    seed: int
    sampler: str
    num_chains: int
    num_sweeps: int
    num_train_iter: int
    test_nll: float
    test_nll_standard_error: float
    test_nll_monte_carlo_error: float
    eval_iw_samples: int
    num_test_images: int
    log_partition: float
    log_partition_standard_error: float
    active_units: int
    num_units: int
    schedule: str = "published"
    graph: str = "bipartite"
    temperature: float | None = None
    couplings: bool = True
    test_bits_per_dim: float | None = None
    num_local_groups: int = 0
    num_local_units: int = 0
    code_kl: float | None = None
    local_kl: list[float] | None = None
    active_local_units: int | None = None
    log_partition_effective_sample_size: float | None = None
    log_partition_method: str | None = None
    log_partition_converged: bool | None = None
    test_nll_bracket: tuple[float, float] | None = None
    published_nll: float | None = None
    num_steps: int | None = None
    best_step: int | None = None
    best_val_nll: float | None = None
    log_partition_tracking_error: float | None = None
    data_source: str | None = None
    seconds: float | None = None
    test_seconds: float | None = None
    versions: dict[str, str | None] | None = None
    git_commit: str | None = None
    cpu: str | None = None
    device: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The inverse of `to_json`; also reads the results of earlier versions, which recorded less.

        Raises:
          ValueError: if a required field is missing or a value has the wrong type; the message names it.
        """
        if not isinstance(values, dict):
            raise ValueError(f"expected a result, got {type(values).__name__}")
        fields = dataclasses.fields(cls)
        found = {field.name: values[field.name] for field in fields if field.name in values}
        required = {field.name for field in fields if field.default is dataclasses.MISSING}
        if missing := sorted(required - found.keys()):
            raise ValueError(f"expected values for {missing}")
        bracket = found.get("test_nll_bracket")
        if isinstance(bracket, list):
            found["test_nll_bracket"] = tuple(bracket)
        for field in fields:
            if field.name in found and not _has_type(found[field.name], field.type):
                raise ValueError(f"{field.name}: expected {_name(field.type)}, got {found[field.name]!r}")
        if found.get("log_partition_method") in _WITHOUT_ERROR:
            found["log_partition_converged"] = True
        return cls(**found)


def read_result(folder: pathlib.Path) -> Result:
    """Reads the result of a finished run from its `result.json`.

    Raises:
      StorageError: if the file is missing or damaged, or holds no result; the message names it.
    """
    path = file_in(folder, RESULT_FILE)
    values = storage.read_json(path)
    try:
        return Result.from_json(values)
    except ValueError as error:
        raise storage.StorageError(f"{path}: {error}") from error


def write_result(folder: pathlib.Path, result: Result) -> None:
    """Writes `result.json`, atomically."""
    storage.write_json(storage.as_path(folder) / RESULT_FILE, result.to_json())


def _has_type(value: Any, annotation: Any) -> bool:
    """Whether a JSON value has the annotated type of a field; integers are floats too, booleans are not."""
    kinds = [typing.get_origin(kind) or kind for kind in _members(annotation)]
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, tuple):
        return len(value) == 2 and all(_has_type(each, float) for each in value)
    return isinstance(value, (*kinds, int) if float in kinds else tuple(kinds))


def _members(annotation: Any) -> Sequence[Any]:
    return typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)


def _name(annotation: Any) -> str:
    return " or ".join(kind.__name__ for kind in _members(annotation))
