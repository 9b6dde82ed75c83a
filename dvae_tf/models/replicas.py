"""Data-parallel replicas of a training step: the update that each contributes, and their combination."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf


class StepReport(NamedTuple):
    """Scalars of one training step, means over the batch; nats."""

    objective: tf.Tensor
    log_likelihood: tf.Tensor
    kl: tf.Tensor
    chain_energy: tf.Tensor


class ReplicaUpdate(NamedTuple):
    """What a replica contributes to a training step, or the combination of all replicas.

    Attributes:
      gradients: of the loss, in the order of the trainable variables.
      statistics: new values of non-trainable variables (batch-norm statistics), by their index.
      chains: new state of the sampler; in a combination, with a leading axis of replicas.
      report: means over the part of the batch that the replica has seen.
    """

    gradients: list[tf.Tensor]
    statistics: dict[int, tf.Tensor]
    chains: Any
    report: StepReport


def combine(updates: Sequence[ReplicaUpdate]) -> ReplicaUpdate:
    """Averages the updates of all replicas, and stacks the states of their samplers."""

    def mean(*values: tf.Tensor) -> tf.Tensor:
        return tf.add_n(values) / len(values)

    averaged = tf.nest.map_structure(mean, *(update._replace(chains=()) for update in updates))
    chains = tf.nest.map_structure(lambda *values: tf.stack(values), *(update.chains for update in updates))
    return averaged._replace(chains=chains)
