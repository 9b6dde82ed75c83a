"""What the replicas of a training step contribute to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf


class StepReport(NamedTuple):
    """Scalars of one training step, in nats: means over the batch."""

    objective: tf.Tensor
    log_likelihood: tf.Tensor
    kl: tf.Tensor
    chain_energy: tf.Tensor


class Share(NamedTuple):
    """What a replica contributes to a training step, or the average of all.

    Attributes:
      gradients: of the loss, in the order of the trainable variables.
      statistics: new values of other variables, by their number among those that are not trained.
      chains: new state of the sampler; of all replicas, with a leading axis.
      report: means over the replica's part of the batch.
    """

    gradients: list[tf.Tensor]
    statistics: dict[int, tf.Tensor]
    chains: Any
    report: StepReport


def average(shares: Sequence[Share]) -> Share:
    """One share of all replicas': means, but for the chains, which are put side by side."""

    def mean(*values: tf.Tensor) -> tf.Tensor:
        return tf.add_n(values) / len(values)

    together = tf.nest.map_structure(mean, *(share._replace(chains=()) for share in shares))
    chains = tf.nest.map_structure(lambda *values: tf.stack(values), *(share.chains for share in shares))
    return together._replace(chains=chains)
