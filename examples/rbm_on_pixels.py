"""A plain restricted Boltzmann machine on pixels: persistent chains, Adam, and a test log-likelihood.

    python examples/rbm_on_pixels.py

Left units are the 64 pixels of the digits, right units are hidden. The gradient of log p(x) = -F(x) - log Z
needs draws of the machine for log Z only; its value is measured once, at the end, with an interval.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import data, partition, priors, rbm, samplers

NUM_HIDDEN = 64
BATCH_SIZE = 100
# Any of samplers.PersistentGibbs, PopulationAnnealing, ParallelTempering.
SAMPLER = samplers.PersistentGibbs(num_chains=100, num_sweeps=10)


def main(num_steps: int = 5_000) -> None:
    """Trains and measures."""
    images = data.load("digits")
    train = tf.constant((images.train > 0.5).astype(np.float32))
    test = tf.constant((images.test > 0.5).astype(np.float32))
    num_pixels = train.shape[1]

    mean = np.clip(train.numpy().mean(0), 0.01, 0.99)
    left_bias = tf.Variable(np.log(mean / (1 - mean)))
    right_bias = tf.Variable(tf.zeros([NUM_HIDDEN]))
    weights = tf.Variable(0.01 * tf.random.stateless_normal([num_pixels, NUM_HIDDEN], (0, 0)))
    parameters = [left_bias, right_bias, weights]
    # Falls to 0, so that the last parameters are an average over the noise of the gradients.
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, num_steps))
    optimizer.build(parameters)

    @tf.function(jit_compile=True)
    def update(x: tf.Tensor, state: samplers.PersistentGibbsState, seed: tf.Tensor) -> tuple:
        state, info = SAMPLER.step(*parameters, state, seed)
        with tf.GradientTape() as tape:
            machine = rbm.as_rbm(*parameters)
            log_z = priors.log_partition_surrogate(*machine, state.left, state.right)
            loss = tf.reduce_mean(rbm.left_free_energy(machine, x)) + log_z
        optimizer.apply(tape.gradient(loss, parameters), parameters)
        return state, tf.reduce_mean(info.energy)

    state = SAMPLER.init(num_pixels, NUM_HIDDEN, seed=(0, 1))
    rows = np.random.default_rng(0).integers(0, len(train), (num_steps, BATCH_SIZE))
    for step in range(num_steps):
        state, energy = update(tf.gather(train, rows[step]), state, tf.constant((2, step)))
        if step % 1_000 == 0:
            print(f"step {step:,}: mean energy of the chains {energy:.2f}")

    machine = rbm.as_rbm(*parameters)
    z = partition.estimate(*machine, num_temperatures=2_000, seed=(0, 3))
    free_energy = tf.reduce_mean(rbm.left_free_energy(machine, test))
    print(f"log Z = {z.log_partition:.3f} ± {z.standard_error:.3f}, between {z.lower:.3f} and {z.upper:.3f}")
    if not z.converged:
        print("which has not converged: do not believe the next line")
    print(f"test log-likelihood: {-free_energy - z.log_partition:.2f} nats an image")
    independent = tf.reduce_mean(tf.reduce_sum(test * np.log(mean) + (1 - test) * np.log(1 - mean), 1))
    print(f"independent pixels:  {independent:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
