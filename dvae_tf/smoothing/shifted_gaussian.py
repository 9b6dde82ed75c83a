r"""The shifted Gaussian smoothing (DVAE# paper, Sec. 3.3), the posterior of the Gaussian integral.

$$
r(\zeta | z) = \mathcal{N}(\zeta; z + \mu, \sigma^2), \qquad b(\zeta) = (\zeta - \mu - 1/2) / \sigma^2, \qquad
\zeta \in \mathbb{R}.
$$

The shift $\mu = (\operatorname{sigmoid}(h) - 1/2) / 2$ of a unit comes from one more output $h$ of its
encoder; its scale $\sigma = 0.05 + |0.2 s|$ from a weight $s$, initially 1 (both as in the published
experiments).
"""

from typing import Any

import keras
import tensorflow as tf

from ..support import REAL_LINE, at_least_float32
from .family import Family
from .gaussian import Gaussian
from .mixture import RelaxedBernoulli
from .relaxation import Relaxation


@keras.saving.register_keras_serializable("dvae_tf")
class ShiftedGaussian(Relaxation, Family):
    """The shifted Gaussian as a layer: `smoothing(logits, h)`, [..., D] each; without h the shift is 0.

    It owns `s`, [D], created at the first call: the trainable scales, shared by all images.
    """

    support = REAL_LINE
    outputs_per_unit = 2

    def build(self, logits_shape: Any) -> None:
        """Creates the weight; the last dimension of the logits is that of the units."""
        self.s = self.add_weight(
            name="s", shape=(logits_shape[-1],), dtype="float32", autocast=False, initializer="ones"
        )

    @property
    def scale(self) -> tf.Tensor:
        """The standard deviation of each unit, [D]."""
        return 0.05 + tf.abs(0.2 * tf.convert_to_tensor(self.s))

    def call(self, logits: tf.Tensor, h: tf.Tensor | None = None) -> RelaxedBernoulli:
        """Returns q(zeta) for log-odds and shift outputs of the same shape."""
        logits = at_least_float32(logits)
        h = tf.zeros_like(logits) if h is None else tf.cast(h, logits.dtype)
        shift = 0.5 * (tf.math.sigmoid(h) - 0.5)
        theta = (shift, tf.cast(self.scale, logits.dtype))
        return RelaxedBernoulli(logits, theta, type(self), self.validate_args)

    # The Gaussian smoothing at zeta - shift with beta = 1 / scale^2.

    @classmethod
    def log_density_given_0(cls, zeta: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        r"""$\log \mathcal{N}(\zeta; \mu, \sigma^2)$."""
        return Gaussian.log_density_given_0(zeta - shift, scale**-2)

    @classmethod
    def log_density_ratio(cls, zeta: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        r"""$(\zeta - \mu - 1/2) / \sigma^2$."""
        return Gaussian.log_density_ratio(zeta - shift, scale**-2)

    @classmethod
    def cdf_given_0(cls, zeta: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        r"""$\Phi((\zeta - \mu) / \sigma)$."""
        return Gaussian.cdf_given_0(zeta - shift, scale**-2)

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        r"""$\Phi((\zeta - \mu - 1) / \sigma)$."""
        return Gaussian.cdf_given_1(zeta - shift, scale**-2)

    @classmethod
    def quantile_given_0(cls, rho: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        r"""$\mu + \sigma \Phi^{-1}(\rho)$."""
        return shift + Gaussian.quantile_given_0(rho, scale**-2)

    @classmethod
    def quantile_given_1(cls, rho: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        r"""$1 + \mu + \sigma \Phi^{-1}(\rho)$."""
        return shift + Gaussian.quantile_given_1(rho, scale**-2)
