"""Data-parallel training steps on several devices or machines (`tf.distribute`).

Each replica takes its part of the batch and its own chains (states have an axis of replicas) and computes its
update on its own device, in a compiled program. The updates are averaged in one reduction, and every process
applies the same average, so all hold the same state: that of one process with the same `num_replicas` and no
strategy.
"""

import signal
from collections.abc import Callable
from typing import TypeGuard

import tensorflow as tf

from ..config import Recipe
from ..models import DVAE, ReplicaUpdate
from ..samplers import Sampler
from .interruption import Request

# Errors of collective operations when a worker dies.
WORKER_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)

Update = Callable[[tf.Tensor], list[tf.Tensor]]


def check_replicas(recipe: Recipe, strategy: tf.distribute.Strategy | None) -> None:
    """Checks that a strategy, if there is one, has as many replicas as the recipe.

    Raises:
      ValueError: if it has not.
    """
    if strategy is not None and (found := strategy.num_replicas_in_sync) != recipe.num_replicas:
        raise ValueError(f"strategy: expected the recipe's {recipe.num_replicas} replica(s), got {found}")


def check_sampler(sampler: Sampler | None, strategy: tf.distribute.Strategy | None) -> None:
    """Checks that a sampler, if it is the user's own, can be part of the programs of a strategy.

    Raises:
      ValueError: if it cannot.
    """
    if strategy is not None and not getattr(sampler, "compiled", True):
        raise ValueError(
            f"strategy: expected None for a sampler that draws outside of compiled programs, {sampler!r}"
        )


def distributed_update(model: DVAE, strategy: tf.distribute.Strategy) -> Update:
    """`DVAE.update` on the devices of a strategy.

    Raises:
      ValueError: as `check_replicas`.
    """
    check_replicas(model.recipe, strategy)
    check_sampler(getattr(model.prior, "sampler", None), strategy)
    variables = model.update_variables
    # Set when the program is traced: an update, for its structure, shapes and dtypes.
    layout: list[ReplicaUpdate] = []

    @tf.function(jit_compile=True)
    def replica_update(values: list[tf.Tensor], x: tf.Tensor, replica: tf.Tensor) -> tuple[tf.Tensor, tuple]:
        found = model.replica_update(x, replica, list(zip(variables, values, strict=True)))
        layout[:] = [found]
        numbers = tf.nest.flatten(found._replace(chains=()))
        flat = tf.concat([tf.reshape(each, [-1]) for each in numbers], 0)
        # Collective operations do not support booleans.
        chains = (tf.cast(each, tf.int32) if each.dtype == tf.bool else each for each in found.chains)
        return flat, tuple(each[tf.newaxis] for each in chains)

    def update(x: tf.Tensor) -> list[tf.Tensor]:
        # Read here: a program on one device cannot read the variables of another.
        values = [tf.convert_to_tensor(variable) for variable in variables]

        def replica() -> tuple[tf.Tensor, tuple]:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            return replica_update(values, x, tf.convert_to_tensor(number, tf.int32))

        flat, chains = strategy.run(replica)
        flat = strategy.reduce(tf.distribute.ReduceOp.MEAN, flat, axis=None)
        one = layout[0]
        pairs = zip(chains, one.chains, strict=True)
        states = tuple(tf.cast(strategy.gather(each, 0), like.dtype) for each, like in pairs)
        numbers = one._replace(chains=())
        shapes = [each.shape for each in tf.nest.flatten(numbers)]
        parts = tf.split(flat, [shape.num_elements() for shape in shapes])
        averaged = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
        combined = tf.nest.pack_sequence_as(numbers, averaged)
        return list(model.apply_update(combined._replace(chains=states)))

    return update


def has_workers(strategy: tf.distribute.Strategy | None) -> TypeGuard[tf.distribute.Strategy]:
    """Whether other processes take part in the training."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_first_worker(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process is the worker that writes files."""
    resolver = getattr(strategy, "cluster_resolver", None)
    return resolver is None or not resolver.task_id


def stop_requested(strategy: tf.distribute.Strategy | None, request: Request) -> bool:
    """Whether any worker has received a signal; all workers learn of it at the same step."""
    if not has_workers(strategy):
        return request.signal is not None
    votes = strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(float(request.signal is not None)), None)
    if votes > 0 and request.signal is None:
        request.signal = signal.SIGTERM
    return bool(votes > 0)
