"""Fills in missing pixels: a binary code with a Boltzmann prior against the best mixture of Bernoullis.

Both learn from 10,000 MNIST digits of which a random half of the pixels is lost, and never see a whole digit.
Pixels are 1 and -1, and 0 where they are missing: log p(x_seen | z) = -sum |x| log(1 + exp(-x log-odds)).
"""

import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from scipy import special
from tensorflow_probability import distributions as tfd

from dvae_tf import config, data, models

# From images with missing pixels to p(x = 1 | x_seen) of all pixels.
Impute = Callable[[np.ndarray], np.ndarray]


class SeenPixels(tfd.Bernoulli):
    """Pixels of which some are missing."""

    def _log_prob(self, seen: tf.Tensor) -> tf.Tensor:
        return -tf.abs(seen) * tf.nn.softplus(-seen * self.logits)


def binary_code(seen: np.ndarray, epochs: int, seed: int, couplings: bool) -> Impute:
    """Trains a published system, in which only the likelihood is our own."""
    num_steps = epochs * (len(seen) // 200)
    changes = {"num_train_iter": num_steps, "seed": seed, "couplings": couplings}
    recipe = config.recipe("binarized_mnist", "1-layer-nonlin", "dvaes_power", k=1, **changes)
    mean = np.sum(seen > 0, 0) / np.sum(seen != 0, 0)
    model = models.DVAE(
        recipe, mean, likelihood=lambda log_odds: tfd.Independent(SeenPixels(log_odds, dtype=tf.float32), 1)
    )
    model.compile(steps_per_execution=10)
    model.fit(seen, batch_size=200, epochs=epochs, verbose=0)

    def impute(seen: np.ndarray) -> np.ndarray:
        """By importance sampling of codes: log Z cancels in the normalized weights."""
        z = model.encode(seen, num_samples=100, seed=(0, 0)).z
        weights = tf.nn.softmax(model.binary_log_weights(seen, num_samples=100, seed=(0, 0)), 0)
        return tf.einsum("kn,knx->nx", weights, model.decode(z)).numpy()

    return impute


def mixture(seen: np.ndarray, size: int, seed: int) -> Impute:
    """Fits a mixture of Bernoullis to the pixels that are seen, by 20 steps of EM."""
    on, mean = np.float32(seen > 0), 0.01 + 0.98 * np.sum(seen > 0, 0) / np.sum(seen != 0, 0)
    first = np.random.default_rng(seed).choice(len(seen), size, replace=False)
    means, weights = np.float32(0.5 * mean + 0.25 + 0.25 * seen[first]), np.ones(size) / size

    def posterior(seen: np.ndarray) -> np.ndarray:
        logits = np.float32(seen > 0) @ np.log(means).T + np.float32(seen < 0) @ np.log1p(-means).T
        return special.softmax(np.float32(logits + np.log(weights)), 1)

    for _ in range(20):
        p = posterior(seen)
        means = np.float32((p.T @ on + 0.5 * mean) / (p.T @ np.abs(seen) + 0.5))
        weights = p.mean(0) + 1e-6
    return lambda seen: posterior(seen) @ means


def score(impute: Impute, seen: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Mean -log p(x_i | x_seen) over the missing pixels i, in nats, and the percentage of wrong ones."""
    probs = np.concatenate([impute(part) for part in np.split(seen, 5)])
    right = np.where(whole == 1, probs, 1 - probs)[seen == 0]
    return np.array([-np.log(right.clip(1e-6)).mean(), 100 * (right < 0.5).mean()])


def main(epochs: int = 40, seeds: int = 1, num_images: int = 10_000, couplings: int = 1) -> np.ndarray:
    """Trains both for each seed, which also draws what is missing; returns the differences of the scores."""
    images, differences = data.load("binarized_mnist"), []
    whole = images.train[:num_images], images.validation[:1_000], images.test[:1_000]
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        train, validation, test = (np.float32((2.0 * x - 1) * rng.integers(2, size=x.shape)) for x in whole)
        code = score(binary_code(train, epochs, seed, bool(couplings)), test, whole[2])
        print("binary code: {:.4f} nats per missing pixel, {:.2f}% wrong".format(*code), flush=True)
        fits = {size: mixture(train, size, seed) for size in (50, 100, 200, 400)}
        best = min(fits, key=lambda size: score(fits[size], validation, whole[1])[0])
        found = score(fits[best], test, whole[2])
        print("mixture of {}: {:.4f} nats, {:.2f}% wrong".format(best, *found), flush=True)
        differences.append(code - found)
    if seeds > 1:
        mean, error = np.mean(differences, 0), np.std(differences, 0, ddof=1) / seeds**0.5
        pairs = np.ravel([mean, error], "F")
        print("difference: {:.4f} ± {:.4f} nats, {:.2f} ± {:.2f} points of wrong pixels".format(*pairs))
    return np.array(differences)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
