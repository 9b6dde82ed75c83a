"""The Keras layer of a smoothing: owns its sharpness, and turns logits into q(zeta)."""

import math
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from .family import Family
from .mixture import RelaxedBernoulli


class Smoothing(keras.layers.Layer, Family):
    """A smoothing as a layer: `smoothing(logits)` is the relaxed posterior q(zeta).

    Args:
      beta: the sharpness, a number above the family's `smallest_beta`; infinite sharpness would be the
        bits themselves.
      trainable_beta: whether beta is a weight; it is kept in range as smallest_beta + exp(weight).

    Raises:
      ValueError: if `beta` is out of range.
    """

    smallest_beta: ClassVar[float] = 0.0

    def __init__(self, beta: float, trainable_beta: bool = False, **kwargs: Any) -> None:
        # Log-space work: a mixed-precision policy must not round what goes in.
        super().__init__(autocast=False, **kwargs)
        number = isinstance(beta, int | float | np.floating)
        if not number or not self.smallest_beta < beta < math.inf:
            raise ValueError(
                f"beta: {type(self).__name__} needs a finite number above {self.smallest_beta:g}, "
                f"got {beta!r}"
            )
        self.beta = float(beta)
        self.trainable_beta = bool(trainable_beta)
        if self.trainable_beta:
            self.log_excess = self.add_weight(
                name="log_excess",
                shape=(),
                dtype="float32",
                autocast=False,
                initializer=keras.initializers.Constant(math.log(beta - self.smallest_beta)),
            )

    @property
    def theta(self) -> tuple[Any, ...]:
        """The parameters that the functions of the family take after zeta."""
        if self.trainable_beta:
            return (self.smallest_beta + tf.exp(tf.convert_to_tensor(self.log_excess)),)
        return (self.beta,)

    def call(self, logits: tf.Tensor) -> RelaxedBernoulli:
        """Returns q(zeta) for log-odds of any shape; half precision is raised to float32."""
        logits = tf.convert_to_tensor(logits)
        if logits.dtype.size < 4 or not logits.dtype.is_floating:
            logits = tf.cast(logits, tf.float32)
        theta = tuple(tf.cast(each, logits.dtype) for each in self.theta)
        return RelaxedBernoulli(logits, theta, type(self))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: beta as it was given, not as it was trained."""
        return super().get_config() | {"beta": self.beta, "trainable_beta": self.trainable_beta}
