r"""The result of every measurement of $\log Z$: a value, its error, bounds and a verdict."""

from typing import Generic, NamedTuple, TypeVar

import tensorflow as tf

# Standard errors from an estimate that is biased to one side to the bound derived from it.
BOUND_WIDTH = 2.0

Details = TypeVar("Details")


class LogPartition(NamedTuple, Generic[Details]):
    r"""$\log Z$ as measured, or as known; scalar tensors, in nats.

    Attributes:
      log_partition: the estimate, or the exact value.
      standard_error: of `log_partition`; 0 where it is exact.
      lower: a stochastic lower bound minus two standard errors; None where the method gives no lower bound.
      upper: a stochastic upper bound plus two standard errors; None where nothing was annealed in reverse.
      gap: the reverse estimate minus the forward one, near 0 if both have converged; None unless there are
        both.
      effective_sample_size: of the weights or samples; None where nothing was sampled.
      converged: a boolean: whether the estimate passes the checks of its method.
      method: `"exact"` (enumeration, or a closed form), `"normalized"` (0 by construction), `"ais"`,
        `"reverse"`, `"two-sided"`, `"bridge"` or `"population"`; a Python string.
      details: results that are particular to the method: `AnnealedChains` of one annealing, `BothSides` of
        two, `TemperedLadders` of bridge sampling, `samplers.AnnealedPopulations` of population annealing;
        None where nothing was sampled.
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

    @classmethod
    def known(cls, log_partition: tf.Tensor | float, method: str = "exact") -> "LogPartition[None]":
        r"""$\log Z$ without error; `converged` is whether it is finite."""
        value = tf.convert_to_tensor(log_partition)
        zero = tf.zeros_like(value)
        return LogPartition(value, zero, value, value, zero, None, tf.math.is_finite(value), method, None)
