"""The Keras layer of a smoothing: it owns the sharpness, and maps log-odds to q(zeta)."""

from typing import Any, ClassVar

import tensorflow as tf

from ..support import at_least_float32, in_dtype
from .family import Family
from .mixture import RelaxedBernoulli
from .relaxation import NumberAbove, Relaxation


class Smoothing(Relaxation, Family):
    r"""A smoothing as a layer: `smoothing(logits)` is the relaxed posterior $q(\zeta)$.

    Args:
      beta: the sharpness, a number above the family's `smallest_beta`; as it grows, zeta approaches the bit.
      trainable_beta: whether beta is a weight, as smallest_beta + exp(log_excess), which keeps it in range.
      **kwargs: arguments of `Relaxation`.

    Raises:
      ValueError: if `beta` is out of range.
    """

    smallest_beta: ClassVar[float] = 0.0

    def __init__(self, beta: float, trainable_beta: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._beta = NumberAbove(self, "beta", beta, self.smallest_beta, trainable_beta)

    @property
    def beta(self) -> float:
        """The initial sharpness."""
        return self._beta.initial

    @property
    def theta(self) -> tuple[Any, ...]:
        """The parameters of the family."""
        return (self._beta.value(),)

    def call(self, logits: tf.Tensor) -> RelaxedBernoulli:
        """Returns q(zeta) for log-odds of any shape; half precision is converted to float32."""
        logits = at_least_float32(logits)
        theta = tuple(in_dtype(each, logits.dtype) for each in self.theta)
        return RelaxedBernoulli(logits, theta, type(self), self.validate_args)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: the initial beta, not the trained one."""
        return super().get_config() | {"beta": self.beta, "trainable_beta": self._beta.trainable}
