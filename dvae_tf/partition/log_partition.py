r"""The result of every measurement of $\log Z$: a value, its error, bounds and a verdict."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import tensorflow as tf

# Standard errors from an estimate that is biased to one side to the bound derived from it.
BOUND_WIDTH = 2.0

Details = TypeVar("Details")


class Criterion(NamedTuple):
    """A condition that an estimate must meet to count as converged.

    Attributes:
      name: of the quantity.
      value: a scalar; NaN does not meet any criterion.
      bound: `"at least"` or `"at most"`.
      limit: a scalar.
      advice: what to change where the criterion is not met.
    """

    name: str
    value: tf.Tensor
    bound: str
    limit: tf.Tensor
    advice: str

    @property
    def is_met(self) -> tf.Tensor:
        """Whether the value is on the right side of the limit, a boolean."""
        return self.value >= self.limit if self.bound == "at least" else self.value <= self.limit

    def __str__(self) -> str:
        return f"{self.name}: expected {self.bound} {self.limit:.4g}, got {self.value:.4g}"


def at_least(name: str, value: tf.Tensor, limit: Any, advice: str) -> Criterion:
    """The criterion that a value does not fall below a limit."""
    return Criterion(name, value, "at least", tf.cast(limit, value.dtype), advice)


def at_most(name: str, value: tf.Tensor, limit: Any, advice: str) -> Criterion:
    """The criterion that a value does not exceed a limit."""
    return Criterion(name, value, "at most", tf.cast(limit, value.dtype), advice)


def all_met(criteria: Sequence[Criterion]) -> tf.Tensor:
    """Whether every criterion is met, a boolean."""
    return tf.reduce_all([criterion.is_met for criterion in criteria])


class LogPartition(NamedTuple, Generic[Details]):
    r"""$\log Z$ as measured, or as known; scalar tensors, in nats.

    As a string it is the estimate with its error, its bounds and its verdict; `reasons` says why it has not
    converged. Both need values, so they are not available while a `tf.function` is traced.

    Attributes:
      log_partition: the estimate, or the exact value.
      standard_error: of `log_partition`; 0 where it is exact.
      lower: a stochastic lower bound minus two standard errors; None where the method gives no lower bound.
      upper: a stochastic upper bound plus two standard errors; None where nothing was annealed in reverse.
      gap: the reverse estimate minus the forward one, near 0 if both have converged; None unless there are
        both.
      effective_sample_size: of the weights or samples; None where nothing was sampled.
      converged: a boolean: whether all criteria are met.
      method: `"exact"` (enumeration, elimination, or a closed form), `"normalized"` (0 by construction),
        `"ais"`, `"reverse"`, `"two-sided"`, `"bridge"` or `"population"`; a Python string.
      details: results that are particular to the method: `AnnealedChains` of one annealing, `BothSides` of
        two, `TemperedLadders` of bridge sampling, `samplers.AnnealedPopulations` of population annealing;
        None where nothing was sampled.
      criteria: the checks of the method, which do not depend on one another.
    """

    log_partition: tf.Tensor
    standard_error: tf.Tensor
    lower: tf.Tensor | None
    upper: tf.Tensor | None
    gap: tf.Tensor | None
    effective_sample_size: tf.Tensor | None
    converged: tf.Tensor
    method: str
    details: Details
    criteria: tuple[Criterion, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """A sentence for each criterion that is not met: what was expected, what came, and what to change."""
        return [f"{each}; {each.advice}" for each in self.criteria if not each.is_met]

    def __str__(self) -> str:
        error = f" ± {self.standard_error:.3g}" if self.standard_error > 0 else ""
        sides = [
            f"{name} {side:.3f}"
            for name, side in (("lower", self.lower), ("upper", self.upper))
            if side is not None and error
        ]
        verdict = "converged" if self.converged else "not converged:"
        head = ", ".join([f"log Z = {self.log_partition:.3f}{error} nats ({self.method})", *sides, verdict])
        return "\n- ".join([head, *self.reasons])

    @classmethod
    def known(cls, log_partition: tf.Tensor | float, method: str = "exact") -> "LogPartition[None]":
        r"""$\log Z$ without error; it counts as converged if it is finite in float32."""
        value = tf.convert_to_tensor(log_partition)
        zero = tf.zeros_like(value)
        criteria = (
            at_most("absolute value of log Z", tf.abs(value), tf.float32.max, "check the parameters"),
        )
        return LogPartition(value, zero, value, value, zero, None, all_met(criteria), method, None, criteria)
