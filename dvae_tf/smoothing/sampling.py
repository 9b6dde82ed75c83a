"""A Keras layer of draws of zeta, for models of layers: Keras passes tensors from one to the next."""

from typing import Any

import keras
import tensorflow as tf

from ..support import as_count, check_kind, floating_dtype
from .relaxation import Relaxation


@keras.saving.register_keras_serializable("dvae_tf")
class Sampling(keras.layers.Layer):
    r"""Draws $\zeta \sim q(\zeta)$ from log-odds: `Sampling(Power(30.0))(logits)`, a tensor of their shape.

        keras.Sequential([Dense(32), smoothing.Sampling(smoothing.Power(30.0)), Dense(64)])

    The draw is `relaxation(logits).sample(seed=...)`, reparameterized, in training and in inference alike. A
    relaxation itself returns the distribution, which a `keras.Sequential` or functional model cannot pass on;
    a KL term needs it: `relaxation(logits).log_prob(zeta)`, in a layer or model of your own.

    The seed of a call is (`seed`, number of calls before), a weight that is not trained and is saved with the
    others: a model that is loaded goes on with the draws that would have followed. Draws inside an XLA
    program differ from those outside.

    Args:
      relaxation: the relaxation or smoothing; its weights, if there are any, are trained.
      seed: an integer that determines the draws, a different one for each layer; None takes a random one, as
        the layers of Keras do (`keras.utils.set_random_seed` determines it).
      **kwargs: arguments of a Keras layer.

    Raises:
      ValueError: if `relaxation` is none, or `seed` no integer of at least 0.
    """

    def __init__(self, relaxation: Relaxation, seed: int | None = None, **kwargs: Any) -> None:
        # As in `Relaxation`: a mixed-precision policy must not round the log-odds.
        super().__init__(autocast=False, **kwargs)
        expected = "a relaxation such as dvae_tf.smoothing.Power(30.0)"
        check_kind("relaxation", relaxation, Relaxation, expected)
        self.relaxation = relaxation
        self.seed = None if seed is None else as_count("seed", seed, 0)
        # Keras does not save the state of a generator.
        first = keras.random.SeedGenerator(self.seed).state
        self.seed_state = self.add_weight(
            name="seed_state",
            shape=(2,),
            dtype="int64",
            initializer=lambda shape, dtype: tf.identity(first.value),
            trainable=False,
            autocast=False,
        )

    def build(self, logits_shape: Any, h_shape: Any = None) -> None:
        """Creates the weights of the relaxation."""
        del h_shape
        if not self.relaxation.built:
            self.relaxation.build(logits_shape)

    def call(self, logits: tf.Tensor, h: tf.Tensor | None = None) -> tf.Tensor:
        """Returns zeta for log-odds of any shape, and for the shift outputs h of a `ShiftedGaussian`."""
        seed = tf.cast(tf.convert_to_tensor(self.seed_state), tf.int32)
        self.seed_state.assign_add([0, 1])
        outputs = (logits,) if h is None else (logits, h)
        return self.relaxation(*outputs).sample(seed=seed)

    def compute_output_shape(self, logits_shape: Any, h_shape: Any = None) -> Any:
        """The shape of the log-odds."""
        del h_shape
        return logits_shape

    def compute_output_spec(self, logits: Any, h: Any = None) -> keras.KerasTensor:
        """The shape of the log-odds and their dtype, at least float32."""
        del h
        return keras.KerasTensor(logits.shape, dtype=floating_dtype(logits).name)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        relaxation = keras.saving.serialize_keras_object(self.relaxation)
        return super().get_config() | {"relaxation": relaxation, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sampling":
        """Rebuilds the layer from `get_config`."""
        return cls(**config | {"relaxation": keras.saving.deserialize_keras_object(config["relaxation"])})
