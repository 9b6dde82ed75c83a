"""Boltzmann priors among the distributions of TensorFlow Probability: joints, independents, KL divergences.

Run it by `python examples/joint_distribution.py`.
"""

import sys

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dvae_tf import partition, priors, smoothing

LEFT, RIGHT, PIXELS = 12, 12, 20
BETA = 10.0
Root = tfd.JointDistributionCoroutine.Root


def main(num_samples: int = 20_000) -> None:
    """Prints what each use gives."""
    normal = tf.random.stateless_normal
    parameters = normal([LEFT], (0, 1)), normal([RIGHT], (0, 2)), 0.5 * normal([LEFT, RIGHT], (0, 3))
    decoder = normal([LEFT + RIGHT, PIXELS], (0, 4))
    logits = normal([LEFT + RIGHT], (0, 5))

    # A machine as small as this is enumerated; of a larger one, `partition.estimate` gives log Z.
    machine = priors.BoltzmannMachine(*parameters, log_partition=partition.exact(*parameters))

    @tfd.JointDistributionCoroutine
    def model() -> tfd.Distribution:
        z = yield Root(machine)
        yield tfd.Independent(tfd.Bernoulli(logits=tf.linalg.matvec(decoder, z, transpose_a=True)), 1)

    z, x = model.sample(3, seed=(0, 6))
    print(f"codes {z.shape} and images {x.shape}, log p(z, x) = {model.log_prob(z, x).numpy().round(2)}")

    # The pair of bits: exact, because the energy is multilinear in the posterior's means.
    bits = tfd.Independent(tfd.Bernoulli(logits=logits, dtype=tf.float32), 1)
    exact = tfd.kl_divergence(bits, machine)
    print(f"KL of the bits: {exact:.3f} nats, exactly")

    z = bits.sample(num_samples, seed=(1, 0))
    show("KL of the bits", bits.log_prob(z) - machine.log_prob(z))

    # The relaxed pair: both sides smoothed alike, so its KL is at most that of the bits.
    for beta in (BETA, 10 * BETA):
        power = smoothing.Power(beta)
        posterior = tfd.Independent(power(logits), 1)
        prior = priors.OverlappingRelaxation(machine, power)
        zeta = posterior.sample(num_samples, seed=(0, 8))
        show(f"KL of the relaxed pair, beta = {beta:g}", posterior.log_prob(zeta) - prior.log_prob(zeta))


def show(name: str, draws: tf.Tensor) -> None:
    """A mean and its standard error."""
    error = tf.math.reduce_std(draws) / tf.sqrt(float(len(draws)))
    print(f"{name}: {tf.reduce_mean(draws):.3f} ± {error:.3f} nats")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
