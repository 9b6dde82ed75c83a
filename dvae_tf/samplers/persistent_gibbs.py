"""Persistent contrastive divergence (Tieleman, 2008): chains that persist across parameter updates.

Each step runs a fixed number of block Gibbs sweeps at the current parameters from the current states. The
chains follow p(z) only as fast as they mix; if they mix too slowly, their means are biased.
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..numerics import Seed
from ..rbm import Machine, block_gibbs, energy, uniform_bits
from .base import Sampler, equal_log_weights, machine


class PersistentGibbsState(NamedTuple):
    """Current states of the chains: [C, L] and [C, R] of zeros and ones.

    Of a machine on a graph, the sides are those of `graphs.GraphMachine`, whose `bits` joins them.
    """

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

    def start(self, machine: Machine, seed: Seed) -> PersistentGibbsState:
        """Returns chains at infinite temperature: independent fair bits."""
        z = uniform_bits(self.num_chains, machine.num_units, seed, machine.dtype)
        return PersistentGibbsState(*machine.sides(z))

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
        target = machine(left_bias, right_bias, weights, temperature, state)
        left, right = block_gibbs(target, state.left, self.num_sweeps, seed)
        return PersistentGibbsState(left, right), PersistentGibbsInfo(energy(target, left, right))
