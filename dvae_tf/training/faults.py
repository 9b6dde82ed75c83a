"""Faults of a training: errors that stop it, and diagnoses that lead to warnings."""

import math
from collections.abc import Mapping

import numpy as np

from ..models import StepReport
from ..runs import RunFolder

# Factor by which an objective must fall below its first value to count as exploded.
_EXPLOSION = 10.0
# The usual limit of Gelman and Rubin.
_MAX_R_HAT = 1.1
_MIN_RELATIVE_ESS = 0.1


class TrainingError(RuntimeError):
    """Training cannot continue; the message names the step, the cause and the last good checkpoint."""


class TrainingWarning(UserWarning):
    """Training continues, but its user should know of a problem."""


def training_error(folder: RunFolder, step: int, quantity: str, fault: str) -> TrainingError:
    """The error that stops a run, naming its last good checkpoint."""
    checkpoints = folder.checkpoints()
    left = (
        f"{checkpoints[-1][1]} is the last good checkpoint" if checkpoints else "there was no checkpoint yet"
    )
    return TrainingError(f"step {step}: {quantity} {fault}; training stopped, {left}")


def not_finite(reports: np.ndarray, step: int) -> tuple[int, str] | None:
    """The first step (the first row is `step`) whose report is not finite, and the quantity; or None."""
    bad = np.argwhere(~np.isfinite(reports))
    if not len(bad):
        return None
    row, field = bad[0]
    return step + int(row), StepReport._fields[int(field)]


def exploded(objective: float, first_objective: float) -> bool:
    """Whether an objective has fallen by ten times its first value, and by at least 100 nats."""
    return first_objective - objective > _EXPLOSION * max(_EXPLOSION, abs(first_objective))


def diagnose(report: Mapping[str, float], num_annealed: int, num_chains: int) -> dict[str, str]:
    """Problems that the report of a validation shows: name -> description.

    Args:
      report: the scalars of a validation; missing ones are not judged.
      num_annealed: chains of annealed importance sampling.
      num_chains: chains of the sampler.
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
        f"log Z has not converged ({value('log_partition'):.2f}): NLLs that use it are not reliable",
    )
    for name, count, what in (
        ("ais_effective_sample_size", num_annealed, "annealed chains"),
        ("population_effective_sample_size", num_chains, "replicas of the population"),
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
