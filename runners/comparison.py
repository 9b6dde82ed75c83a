r"""Runs side by side: what tells them apart, means over seeds, and paired differences with their errors.

Runs of one recipe, but for the seed, form a group. With $y_{si}$ the NLL of test image $i$ in the run of seed
$s$, groups A and B of the same $N$ test images differ by

$$ \Delta = \frac{1}{N} \sum_i (\bar y^B_i - \bar y^A_i), \qquad \bar y_i = \frac{1}{S} \sum_s y_{si}, $$

in nats. It has two standard errors, which answer two questions. Over seeds: how much would $\Delta$ change if
both were trained again? If the groups have the same seeds, it is the standard deviation of the $S$
differences of runs of one seed, over $\sqrt S$; otherwise that of two independent means. Over images: how
much would it change with other test images, and another estimate of log Z, for these very weights?
"""

import dataclasses
import json
import math
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dvae_tf import config, evaluation
from dvae_tf.config import Recipe
from dvae_tf.runs import (
    IMAGE_NLL_FILE,
    Inputs,
    Result,
    read_image_nll,
    read_inputs,
    read_recipe,
    read_result,
)
from dvae_tf.storage import StorageError

from . import show
from .cells import PRIMARY, SIZES, deviations

# Fields that are texts of their own, such as `gumbolt`; others need their name.
_SELF_EXPLANATORY = ("dataset", "struct", "baseline", "sampler", "likelihood", "images", "parts")
# Either the one or the others apply to a baseline.
_SHARPNESS = ("beta", "temperature", "prior_temperature")
REFERENCES = ("first", "best")


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      folder: as the user named it.
      recipe: its configuration.
      result: its result.
      inputs: its images and parts; None in folders of version 0.2 and earlier, and in committed results.
      image_nll: NLL of every test image, float64 [N], nats; None if the folder does not hold it.
    """

    folder: pathlib.Path
    recipe: Recipe
    result: Result
    inputs: Inputs | None
    image_nll: np.ndarray | None


def read_run(folder: pathlib.Path) -> Run:
    """Reads a finished run.

    Raises:
      StorageError: if a file is missing or damaged, or holds something else than expected.
    """
    result, image_nll = read_result(folder), None
    if (folder / IMAGE_NLL_FILE).exists():
        image_nll = read_image_nll(folder)
        if len(image_nll) != result.num_test_images:
            raise StorageError(
                f"{folder / IMAGE_NLL_FILE}: expected the NLL of {result.num_test_images} test images, "
                f"got {len(image_nll)}"
            )
    return Run(folder, read_recipe(folder), result, read_inputs(folder), image_nll)


# Labels.


def text(value: Any) -> str:
    """A value of a recipe or a result, for readers."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text, value))}]"
    return str(value)


def labels(runs: Sequence[Run], but: Sequence[str] = ()) -> list[str]:
    """What tells each run from the others: the fields in which they differ, without what follows from others.

    Labels are the baseline where nothing else is to be said, and not unique: the same run may be there twice.

    Args:
      runs: the runs.
      but: fields to leave out.
    """
    records = [_record(run) for run in runs]
    names = [name for name in _telling(runs, records) if name not in but]
    found = []
    for record in records:
        parts = [
            text(record[name]) if name in _SELF_EXPLANATORY else f"{name}={text(record[name])}"
            for name in names
            if not (record[name] is None and name in _SHARPNESS)
        ]
        found.append(", ".join(filter(None, parts)) or record["baseline"])
    return found


def _record(run: Run) -> dict[str, Any]:
    """The recipe, and what the run was given beside it, as JSON values."""
    inputs = run.inputs
    return run.recipe.to_json() | {
        "images": "" if inputs is None else inputs.data_source,
        "parts": "" if inputs is None else ", ".join(f"{name} of its own" for name in sorted(inputs.parts)),
    }


def _telling(runs: Sequence[Run], records: Sequence[dict[str, Any]]) -> list[str]:
    """The fields that labels show."""
    differing = {name for name in records[0] if any(each[name] != records[0][name] for each in records)}
    deviating = set().union(*(deviations(run.recipe) for run in runs))
    names = [name for name in PRIMARY if name in differing]
    recipes = [run.recipe for run in runs]
    if any(_is_named_by_its_sizes(recipe) for recipe in recipes) and "struct" in names:
        place = names.index("struct")
        sizes = (*SIZES, "channels", "num_local_groups", "local_units")
        names[place : place + 1] = [name for name in sizes if name in differing]
    names += [name for name in records[0] if name in differing & deviating and name not in names]
    digests = {json.dumps(run.inputs.digests, sort_keys=True) for run in runs if run.inputs is not None}
    if "dataset" not in names and len(digests) > 1:
        names.append("images")
    if "parts" in differing:
        names.append("parts")
    return names


def _is_named_by_its_sizes(recipe: Recipe) -> bool:
    return recipe.struct not in config.STRUCTURES and recipe.struct == recipe.structure.name


# Groups of runs.


class Group(NamedTuple):
    """Runs of one recipe, images and parts, but for the seed.

    Attributes:
      label: what tells it from the other groups.
      runs: one for each seed.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def mean(self) -> float:
        """Mean test NLL over seeds, nats."""
        return statistics.fmean(run.result.test_nll for run in self.runs)

    @property
    def standard_deviation(self) -> float | None:
        """Of the test NLL over seeds, nats; None for one seed."""
        nlls = [run.result.test_nll for run in self.runs]
        return statistics.stdev(nlls) if len(nlls) > 1 else None

    @property
    def bits_per_dim(self) -> float | None:
        """The mean in bits per dimension, of likelihoods of 8-bit levels; None for others."""
        bits = [run.result.test_bits_per_dim for run in self.runs]
        known = [each for each in bits if each is not None]
        return statistics.fmean(known) if len(known) == len(bits) else None

    @property
    def converged(self) -> bool:
        """Whether no run's log Z is known not to have converged."""
        return all(run.result.log_partition_converged is not False for run in self.runs)


def groups(runs: Sequence[Run]) -> list[Group]:
    """Puts runs together that differ in the seed only, in the order of their first runs.

    A run that is there twice is not counted as another seed: it begins a group of its own.
    """
    found: dict[Any, list[Run]] = {}
    label_of = dict(zip(map(id, runs), labels(runs, but=("seed",)), strict=True))
    for run in runs:
        inputs = None if run.inputs is None else (run.inputs.to_json() | {"data_source": ""})
        alike = (dataclasses.replace(run.recipe, seed=0), json.dumps(inputs, sort_keys=True))
        copy = 0
        while run.recipe.seed in [other.recipe.seed for other in found.get((*alike, copy), ())]:
            copy += 1
        found.setdefault((*alike, copy), []).append(run)
    return [Group(label_of[id(members[0])], tuple(members)) for members in found.values()]


# Differences.


class Difference(NamedTuple):
    """How much higher the mean NLL of the second group is, nats, with its standard errors.

    Attributes:
      mean: of the differences.
      over_seeds: None unless both groups have several seeds.
      over_images: for these very weights, with the error of log Z.
    """

    mean: float
    over_seeds: float | None
    over_images: float


def obstacle(first: Group, second: Group) -> str | None:
    """Why two groups have no paired difference; None if they have one."""
    for run in (*first.runs, *second.runs):
        if run.image_nll is None:
            return f"{run.folder} holds no NLL of every test image"
        if run.inputs is None:
            return f"{run.folder} does not record its test images"
    one, other = first.runs[0], second.runs[0]
    if _test_digest(one) != _test_digest(other):
        return "other test images"
    if scale(one) != scale(other):
        return "another likelihood, whose NLL may have another scale"
    return None


def _test_digest(run: Run) -> str | None:
    return None if run.inputs is None else run.inputs.digests.get("test")


def scale(run: Run) -> Any:
    """Equal for runs whose NLLs of the same images have one scale: probabilities of bits always have."""
    own = None if run.inputs is None else run.inputs.parts.get("likelihood")
    if own is not None:
        return own
    name = run.recipe.likelihood
    return "bits" if config.LIKELIHOODS[name].pixels == "bits" else name


def difference(first: Group, second: Group) -> Difference:
    """The paired difference of two groups without an `obstacle`."""
    one, other = (
        np.stack([run.image_nll for run in group.runs if run.image_nll is not None])
        for group in (first, second)
    )
    paired = evaluation.paired_difference(one.mean(0), other.mean(0))
    log_z = [
        run.result.log_partition_standard_error / len(group.runs)
        for group in (first, second)
        for run in group.runs
    ]
    over_seeds = _over_seeds(
        *(
            {run.recipe.seed: nll for run, nll in zip(group.runs, nlls.mean(1).tolist(), strict=True)}
            for group, nlls in ((first, one), (second, other))
        )
    )
    return Difference(paired.mean, over_seeds, math.hypot(paired.standard_error, *log_z))


def _over_seeds(one: dict[int, float], other: dict[int, float]) -> float | None:
    """The standard error of the difference of two means over seeds; None unless both have several."""
    if min(len(one), len(other)) < 2:
        return None
    if one.keys() == other.keys():
        return statistics.stdev(other[seed] - one[seed] for seed in one) / math.sqrt(len(one))
    spreads = (statistics.stdev(nlls.values()) / math.sqrt(len(nlls)) for nlls in (one, other))
    return math.hypot(*spreads)


def reference(group: Group, among: Sequence[Group], which: str) -> Group | None:
    """The group that a group is compared with, of those that it can be paired with; None if there is none.

    Args:
      group: the group.
      among: all groups.
      which: "first", or "best": the lowest mean NLL of those whose log Z has converged.
    """
    paired = [other for other in among if obstacle(other, group) is None]
    if which == "best":
        paired = [other for other in paired if other.converged] or paired
        paired.sort(key=lambda other: other.mean)
    return paired[0] if paired else None


# Tables.

COLUMNS = ("seeds", "test NLL", "difference", "± over seeds", "± over images")
CAPTION = (
    "Nats; test NLL as mean ± standard deviation over seeds. Differences are paired, image by image. Their "
    "standard error over seeds is of training again, that over images of other test images for these weights."
)


class Row(NamedTuple):
    """A group as a table shows it.

    Attributes:
      letter: its name in this table.
      label: what tells it from the others.
      numbers: its runs, counted from 1.
      cells: texts for `COLUMNS`.
    """

    letter: str
    label: str
    numbers: tuple[int, ...]
    cells: tuple[str, ...]


def rows(runs: Sequence[Run], which: str) -> list[Row]:
    """The groups of some runs, each with its difference from its `reference`."""
    among = groups(runs)
    letters = {id(group): _letter(index) for index, group in enumerate(among)}
    number = {id(run): index for index, run in enumerate(runs, 1)}
    found = []
    for group in among:
        spread = group.standard_deviation
        nll = f"{group.mean:.2f}" + ("" if spread is None else f" ± {spread:.2f}")
        nll += show.bits_text(group.bits_per_dim)
        if not group.converged:
            nll += ", log Z not converged"
        seeds = ", ".join(map(str, sorted(run.recipe.seed for run in group.runs)))
        other = reference(group, among, which)
        if other is None or other is group:
            compared = _without_difference(group, among), "", ""
        else:
            mean, over_seeds, over_images = difference(other, group)
            compared = (
                f"{mean:+.2f} from {letters[id(other)]}",
                "one seed" if over_seeds is None else f"{over_seeds:.2f}",
                f"{over_images:.2f}",
            )
        numbers = tuple(number[id(run)] for run in group.runs)
        found.append(Row(letters[id(group)], group.label, numbers, (seeds, nll, *compared)))
    return found


def _without_difference(group: Group, among: Sequence[Group]) -> str:
    """Nothing for a group that others are compared with, otherwise why it is compared with none."""
    obstacles = [obstacle(other, group) for other in among if other is not group]
    return f"not paired: {obstacles[0]}" if obstacles and all(obstacles) else ""


def _letter(index: int) -> str:
    """A to Z, then AA, AB, …, as the columns of a spreadsheet."""
    rest, last = divmod(index, 26)
    return (_letter(rest - 1) if rest else "") + chr(ord("A") + last)
