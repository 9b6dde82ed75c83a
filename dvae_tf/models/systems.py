"""The one table that turns a baseline's name into the parts of the library."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .. import objectives, smoothing
from ..samplers import PersistentGibbs, Sampler


class System(NamedTuple):
    """What a baseline is made of.

    Attributes:
      smoothing: the family of r(zeta | z), in the posterior and in the relaxed prior.
      objective: (log p(x | zeta), log p(zeta), log q(zeta | x), kl_weight) -> the bound, [B].
    """

    smoothing: type[smoothing.Smoothing]
    objective: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | float], tf.Tensor]


SYSTEMS = {
    # DVAE# paper, Sec. 3.1 with Eq. 10.
    "dvaes_power": System(smoothing.Power, objectives.importance_weighted_bound),
}

SAMPLERS: dict[str, Callable[..., Sampler]] = {"pcd": PersistentGibbs}
