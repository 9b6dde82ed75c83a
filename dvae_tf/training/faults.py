"""What goes wrong in a training, and how it is noticed."""

import math
from collections.abc import Mapping

import numpy as np

from ..models import StepReport

# An objective so many times further down than it began has exploded.
_EXPLOSION = 10.0
# Gelman and Rubin's usual limit.
_MAX_R_HAT = 1.1
_MIN_RELATIVE_ESS = 0.1


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, and what is left."""


class TrainingWarning(UserWarning):
    """Training goes on, but there is something that its user should know."""


def not_finite(reports: np.ndarray, step: int) -> tuple[int, str] | None:
    """The first step, counted from `step`, whose report [steps, fields] is not finite, and the quantity."""
    bad = np.argwhere(~np.isfinite(reports))
    if not len(bad):
        return None
    row, field = bad[0]
    return step + int(row), StepReport._fields[int(field)]


def exploded(objective: float, first_objective: float) -> bool:
    """Whether an objective has fallen by ten times what it began with, and by 100 nats at least."""
    return first_objective - objective > _EXPLOSION * max(_EXPLOSION, abs(first_objective))


def doubts(report: Mapping[str, float], num_annealed: int, num_replicas: int) -> dict[str, str]:
    """What a validation's report gives to doubt: name -> what was seen, in words.

    Args:
      report: the scalars of a validation; those it lacks are not judged.
      num_annealed: chains of annealed importance sampling.
      num_replicas: of the sampler's population.
    """
    found = {}

    def judge(name: str, is_bad: bool, words: str) -> None:
        if is_bad:
            found[name] = words

    def value(name: str) -> float:
        return report.get(name, math.nan)

    # A comparison with NaN is False.
    judge(
        "log_partition",
        value("log_partition_converged") == 0,
        f"log Z has not converged ({value('log_partition'):.2f}): do not believe NLLs that lean on it",
    )
    for name, count, what in (
        ("ais_effective_sample_size", num_annealed, "annealed chains"),
        ("population_effective_sample_size", num_replicas, "replicas of the population"),
    ):
        judge(
            name,
            value(name) < _MIN_RELATIVE_ESS * count,
            f"the effective sample size of the {what} is {value(name):.1f} of {count}, below 10 %",
        )
    judge("active_units", value("active_units") == 0, "no unit of the code depends on the image")
    judge(
        "r_hat",
        value("r_hat") > _MAX_R_HAT,
        f"the chains of the negative phase do not mix: R-hat {value('r_hat'):.2f}, autocorrelation time "
        f"{value('autocorrelation_time'):.1f} steps",
    )
    judge(
        "prior_beta_raised",
        value("prior_beta_raised") == 1,
        f"the guard of positive definiteness raised beta to {value('prior_beta'):.1f}",
    )
    return found
