"""Persistent contrastive divergence (Tieleman, 2008): chains that outlive the parameter updates.

Each step runs a fixed number of block Gibbs sweeps at the current parameters from where the chains
stand. The chains follow p(z) only as fast as they mix: their mean is biased where they do not.
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..numerics import Seed
from ..rbm import as_rbm, block_gibbs, energy, uniform_states


class PersistentGibbsState(NamedTuple):
    """Current states of the chains: [C, L] and [C, R] of zeros and ones."""

    left: tf.Tensor
    right: tf.Tensor


class PersistentGibbsInfo(NamedTuple):
    """Energies of the new states in nats, [C]."""

    energy: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
@dataclasses.dataclass(frozen=True)
class PersistentGibbs:
    """Persistent chains of block Gibbs sweeps.

    Attributes:
      num_chains: how many chains, at least 1.
      num_sweeps: sweeps (both sides once) per step, at least 1.

    Raises:
      ValueError: if either is below 1.
    """

    num_chains: int = 1000
    num_sweeps: int = 40

    def __post_init__(self) -> None:
        for name in ("num_chains", "num_sweeps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")

    def get_config(self) -> dict[str, int]:
        """The attributes, for Keras."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, int]) -> "PersistentGibbs":
        """The inverse of `get_config`, for Keras."""
        return cls(**config)

    def init(
        self, num_left: int, num_right: int, seed: Seed, dtype: tf.DType = tf.float32
    ) -> PersistentGibbsState:
        """Returns chains at infinite temperature: independent fair bits."""
        return PersistentGibbsState(*uniform_states(self.num_chains, num_left, num_right, seed, dtype))

    def step(
        self, left_bias: Any, right_bias: Any, weights: Any, state: PersistentGibbsState, seed: Seed
    ) -> tuple[PersistentGibbsState, PersistentGibbsInfo]:
        """Runs the sweeps at the given parameters; no gradient flows.

        Args:
          left_bias: [L].
          right_bias: [R].
          weights: [L, R].
          state: of the previous step, or of `init`.
          seed: an `int32[2]` seed, another one in every step.

        Returns:
          The new state and its energies.
        """
        rbm = as_rbm(left_bias, right_bias, tf.cast(tf.convert_to_tensor(weights), state.left.dtype))
        left, right = block_gibbs(rbm, state.left, self.num_sweeps, seed)
        return PersistentGibbsState(left, right), PersistentGibbsInfo(energy(rbm, left, right))
