r"""The GumBolt proxy of a Boltzmann prior (GumBolt paper, Eq. 7 to 9).

$$
\check p(\zeta) = \exp(-E(\zeta)) / Z, \qquad \zeta \in [0, 1]^D,
$$

with the $Z$ of the bits. It is not normalized: by the paper's Theorem 2 it never exceeds $\exp(-E(\zeta)) /
\int \exp(-E)$. The objective that uses it becomes the bound of the bits at temperature 0, and can exceed
$\log p(x)$ above.
"""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from ..support import UNIT_INTERVAL
from .boltzmann import MachineDistribution
from .boltzmann_prior import BoltzmannPrior
from .relaxed_machine import RelaxedMachine


class GumBolt(RelaxedMachine):
    """The proxy of a Boltzmann machine, event shape [D], zeta in [0, 1]^D.

    `log_prob` is the proxy of Eq. 7 in nats, a surrogate and not a log density; differentiable in zeta, the
    biases, the weights and log Z. `sample` draws bits from the machine, since the proxy is no distribution.

    Args:
      boltzmann: the machine p(z).
      validate_args: whether to check that values lie in [0, 1] and the parameters are finite.
    """

    def __init__(
        self,
        boltzmann: MachineDistribution,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "GumBolt",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            super().__init__(
                boltzmann,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {"boltzmann": tfp.util.BatchedComponentProperties()}

    @property
    def support(self) -> tuple[float, float]:
        """[0, 1]."""
        return UNIT_INTERVAL

    def _log_prob_inside(self, zeta: tf.Tensor) -> tf.Tensor:
        return -self.boltzmann.energy(zeta) - self._log_z

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        return self.boltzmann.sample(n, seed=seed)


@keras.saving.register_keras_serializable("dvae_tf")
class GumBoltPrior(BoltzmannPrior):
    """A `BoltzmannPrior` that returns the GumBolt proxy."""

    def relax(self, machine: MachineDistribution) -> GumBolt:
        """The proxy of the current machine."""
        return GumBolt(machine, self.validate_args)
