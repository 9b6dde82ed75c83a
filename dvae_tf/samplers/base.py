"""What a sampler of the negative phase is to the rest of the library."""

from typing import Any, Protocol

import tensorflow as tf

from ..numerics import Seed


class Sampler(Protocol):
    """Draws from p(z) along the path of the parameters."""

    @property
    def num_chains(self) -> int:
        """The number of chains."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""

    def init(self, num_left: int, num_right: int, seed: Seed, dtype: tf.DType = tf.float32) -> Any:
        """Returns the first state, a NamedTuple of tensors with fields `left` and `right`."""

    def step(self, left_bias: Any, right_bias: Any, weights: Any, state: Any, seed: Seed) -> tuple[Any, Any]:
        """Returns the next state, adapted to the given parameters, and what there is to tell."""
