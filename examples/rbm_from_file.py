"""Draws from a restricted Boltzmann machine that was trained elsewhere, and its log Z with an interval.

    python examples/rbm_from_file.py machine.npz

The archive holds `visible_bias` [V], `hidden_bias` [H] and `weights` [V, H], of float32 or float64.
"""

import sys

import numpy as np
import tensorflow as tf

from dvae_tf import partition, rbm, samplers


def main(path: str, num_temperatures: int = 2_000) -> None:
    """Prints log Z, how the chains mix, and the means of the visible units."""
    with np.load(path, allow_pickle=False) as file:
        machine = rbm.as_rbm(file["visible_bias"], file["hidden_bias"], file["weights"])
    z = partition.estimate(*machine, num_temperatures=num_temperatures, seed=(0, 1))
    print(f"log Z = {z.log_partition:.3f} ± {z.standard_error:.3f}, between {z.lower:.3f} and {z.upper:.3f}")
    if not z.converged:
        print("which has not converged")

    # Replica exchange finds the modes that plain chains miss.
    sampler = samplers.ParallelTempering(num_chains=100, num_sweeps=10)
    state = sampler.init(machine.num_left, machine.num_right, seed=(0, 2), dtype=machine.dtype)
    for step in range(50):
        state, _ = sampler.step(*machine, state, seed=(3, step))
    mixing = samplers.measure_mixing(sampler, *machine, state, (0, 4), num_steps=20)
    print(f"R-hat {mixing.r_hat:.3f}, {int(tf.reduce_sum(state.round_trips))} round trips")
    means = tf.reduce_mean(tf.math.sigmoid(rbm.left_logits(machine, state.right)), 0)
    print(f"means of the visible units: {means.numpy().round(2)}")

    # What the first half of the visible units of one draw says about the others.
    given = np.arange(machine.num_left + machine.num_right) < machine.num_left // 2
    one = tf.concat([state.left[:1], state.right[:1]], -1)
    z = samplers.sample_clamped(*machine, tf.repeat(one, 200, 0), given, num_sweeps=50, seed=(0, 5))
    print(f"with half of them given: {z.numpy()[:, : machine.num_left].mean(0).round(2)}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
