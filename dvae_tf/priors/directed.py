r"""Directed priors: Bernoulli bits, each group conditioned on the groups before it.

$$
p(z) = \prod_g p(z_g | z_{<g}),
$$

which is factorial for a single group. The relaxed prior conditions on relaxed values, $p(\zeta) = \prod_g
p(\zeta_g | \zeta_{<g})$, where $\zeta_g$ has the distribution of a relaxation with the same log-odds
(Maddison et al., 2017, for Concrete).
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from ..numerics import Seed, keep_nan
from ..partition import LogPartition
from ..smoothing import Relaxation
from ..support import (
    as_count,
    as_parameter,
    bit_assertions,
    check_kind,
    floating_dtype,
    in_dtype,
    number_assertions,
)
from .base import Prior


class DirectedBernoulli(tfd.AutoCompositeTensorDistribution):
    """Bits of one or more groups, event shape [D]; `log_prob` is exact, in nats.

    Variables among the logits are read whenever a method needs them; the variables of layers that are
    conditionals belong to the layers.

    Args:
      first_logits: [..., units], log-odds of the first group; the leading dimensions are the batch shape.
      conditionals: one callable for each further group, from the bits or zeta of the groups before, [..., d],
        to log-odds [..., units].
      relaxation: gives the distribution of zeta for log-odds; None for bits.
      validate_args: whether to check that bits are 0 or 1, zeta lies in its support and nothing is NaN.
      training: the mode of conditionals that are Keras layers: batch norms then take their statistics from
        all rows of a code, [K B, d] for [K, B, d], and update their moving averages.
    """

    def __init__(
        self,
        first_logits: Any,
        conditionals: Sequence[Any] = (),
        relaxation: Relaxation | None = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "DirectedBernoulli",
        training: bool = False,
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            self._first_logits = as_parameter(first_logits)
            self._conditionals = tuple(conditionals)
            self._training = training
            self._relaxation = relaxation
            super().__init__(
                dtype=floating_dtype(self._first_logits),
                reparameterization_type=tfd.NOT_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {"first_logits": tfp.util.ParameterProperties(event_ndims=1)}

    @property
    def num_groups(self) -> int:
        """The number of groups."""
        return 1 + len(self._conditionals)

    @property
    def units_per_group(self) -> int:
        """Units of each group."""
        return self._first_logits.shape[-1]

    def logits(self, code: Any) -> tf.Tensor:
        """Log-odds of every unit given the groups before it: [..., D] gives [..., D]."""
        code = tf.convert_to_tensor(code, self.dtype)
        first = self._first()
        if code.shape.rank == first.shape.rank == 1:
            # Keras layers do not accept vectors.
            return self.logits(code[tf.newaxis])[0]
        units = self.units_per_group
        shape = tf.broadcast_dynamic_shape(tf.shape(code)[:-1], tf.shape(first)[:-1])
        code = tf.broadcast_to(code, tf.concat([shape, tf.shape(code)[-1:]], 0))
        groups = [tf.broadcast_to(first, tf.concat([shape, [units]], 0))]
        for index, conditional in enumerate(self._conditionals, 1):
            groups.append(self._conditional_logits(conditional, code[..., : index * units]))
        logits = tf.concat(groups, -1)
        checks = number_assertions("logits", logits) if self.validate_args else []
        with tf.control_dependencies(checks):
            return tf.identity(logits)

    def _first(self) -> tf.Tensor:
        """The current log-odds of the first group."""
        return in_dtype(self._first_logits, self.dtype)

    def _conditional_logits(self, conditional: Any, before: tf.Tensor) -> tf.Tensor:
        # A callable that is not a layer need not know of a mode.
        mode = {"training": True} if self._training else {}
        return tf.cast(conditional(before, **mode), self.dtype)

    def _conditional(self, logits: tf.Tensor) -> tfd.Distribution:
        if self._relaxation is None:
            return tfd.Bernoulli(logits=logits, dtype=self.dtype)
        relaxed = self._relaxation(logits)
        return relaxed.copy(validate_args=True) if self.validate_args else relaxed

    def _draw(self, logits: tf.Tensor, seed: Any) -> tf.Tensor:
        return keep_nan(self._conditional(logits).sample(seed=seed), logits)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.num_groups * self.units_per_group])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self.num_groups * self.units_per_group])

    def _default_event_space_bijector(self) -> None:
        return None

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        checked = self.validate_args and not is_init
        return number_assertions("first_logits", self._first()) if checked else []

    def _sample_control_dependencies(self, code: tf.Tensor) -> list[Any]:
        if not self.validate_args or self._relaxation is not None:
            return []
        return bit_assertions(code)

    def _log_prob(self, code: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self._conditional(self.logits(code)).log_prob(code), -1)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        seeds = tfp.random.split_seed(seed, self.num_groups, salt="directed_bernoulli")
        first = self._first()
        code = self._draw(tf.broadcast_to(first, tf.concat([[n], tf.shape(first)], 0)), seeds[0])
        for conditional, group_seed in zip(self._conditionals, seeds[1:], strict=True):
            logits = self._conditional_logits(conditional, code)
            code = tf.concat([code, self._draw(logits, group_seed)], -1)
        return tf.stop_gradient(code)


@keras.saving.register_keras_serializable("dvae_tf")
class DirectedPrior(Prior):
    """Owns the log-odds of the first group, initially 0, and the networks of the others.

    Its log Z is 0, and it has no chains.

    Args:
      units_per_group: units of each group.
      conditionals: one layer for each further group, [..., d] to [..., units].
      relaxation: of the prior that a call returns; None for bits.
      **kwargs: arguments of `Prior`.

    Raises:
      ValueError: if `units_per_group` is below 1, or another argument is of another kind.
    """

    def __init__(
        self,
        units_per_group: int,
        conditionals: Sequence[keras.layers.Layer] = (),
        relaxation: Relaxation | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units_per_group = units_per_group = as_count("units_per_group", units_per_group)
        check_kind("conditionals", conditionals, list | tuple, "a list of layers")
        for each in conditionals:
            check_kind("conditionals", each, keras.layers.Layer, "layers such as keras.layers.Dense(8)")
        if relaxation is not None:
            expected = "a relaxation such as dvae_tf.smoothing.Concrete(0.5)"
            check_kind("relaxation", relaxation, Relaxation, expected)
        # A tuple, because TensorFlow checkpoints ignore layers in lists.
        self.conditionals = tuple(conditionals)
        self.relaxation = relaxation
        # Built here, because a model may list its variables before the first call.
        for group, conditional in enumerate(self.conditionals, 1):
            if not conditional.built:
                conditional.build((None, group * units_per_group))
        self.first_logits = self.add_weight(
            name="first_logits", shape=(units_per_group,), initializer="zeros", autocast=False
        )
        self.built = True

    @property
    def log_partition(self) -> tf.Tensor:
        """0: the prior is normalized."""
        return tf.constant(0.0)

    def binary(self, state: Any = None) -> DirectedBernoulli:
        """The prior of the bits; there are no chains."""
        del state
        return DirectedBernoulli(self.first_logits, self.conditionals, validate_args=self.validate_args)

    def call(self, training: bool = False) -> DirectedBernoulli:
        """Returns the prior of zeta, or of the bits; `training` is the mode of the conditionals."""
        return self.in_mode(self.distribution(), training)

    def distribution(self, state: Any = None) -> DirectedBernoulli:
        """The prior that a call returns; there are no chains."""
        del state
        return DirectedBernoulli(self.first_logits, self.conditionals, self.relaxation, self.validate_args)

    def in_mode(self, distribution: DirectedBernoulli, training: bool) -> DirectedBernoulli:
        """The distribution with its conditionals in training mode or not."""
        return distribution.copy(training=True) if training else distribution

    def sample_binary(self, num_samples: int, num_sweeps: int, seed: Seed) -> tf.Tensor:
        """Draws bits [num_samples, D]."""
        del num_sweeps
        return self.binary().sample(num_samples, seed=seed)

    def measure_log_partition(
        self, num_temperatures: int, num_chains: int, seed: Seed, both_sides: bool = False
    ) -> LogPartition:
        """log Z, which is 0."""
        del num_temperatures, num_chains, seed, both_sides
        return LogPartition.known(0.0, "normalized")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "units_per_group": self.units_per_group,
            "conditionals": [serialize(each) for each in self.conditionals],
            "relaxation": serialize(self.relaxation),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DirectedPrior":
        """Rebuilds the layer from `get_config`."""
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        config["conditionals"] = [deserialize(each) for each in config["conditionals"]]
        config["relaxation"] = deserialize(config["relaxation"])
        return cls(**config)
