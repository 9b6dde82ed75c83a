"""Persistent contrastive divergence (Tieleman, 2008): chains that persist across parameter updates.

Each step runs a fixed number of block Gibbs sweeps at the current parameters from the current states. The
chains follow p(z) only as fast as they mix; if they mix too slowly, their means are biased.
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..numerics import Seed
from ..rbm import block_gibbs, energy, uniform_states
from .base import Sampler, equal_log_weights, machine


class PersistentGibbsState(NamedTuple):
    """Current states of the chains: [C, L] and [C, R] of zeros and ones."""

    left: tf.Tensor
    right: tf.Tensor

    @property
    def log_weights(self) -> tf.Tensor:
        """-log C for each state, [C]."""
        return equal_log_weights(self.left)


class PersistentGibbsInfo(NamedTuple):
    """Energies of the new states in nats, [C]."""

    energy: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
@dataclasses.dataclass(frozen=True)
class PersistentGibbs(Sampler):
    """Persistent chains of block Gibbs sweeps; attributes as in `Sampler`."""

    def init(
        self, num_left: int, num_right: int, seed: Seed, dtype: tf.DType = tf.float32
    ) -> PersistentGibbsState:
        """Returns chains at infinite temperature: independent fair bits."""
        return PersistentGibbsState(*uniform_states(self.num_chains, num_left, num_right, seed, dtype))

    def step(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: PersistentGibbsState,
        seed: Seed,
        temperature: float = 1.0,
    ) -> tuple[PersistentGibbsState, PersistentGibbsInfo]:
        """Runs the sweeps at the given parameters."""
        rbm = machine(left_bias, right_bias, weights, temperature, state)
        left, right = block_gibbs(rbm, state.left, self.num_sweeps, seed)
        return PersistentGibbsState(left, right), PersistentGibbsInfo(energy(rbm, left, right))
