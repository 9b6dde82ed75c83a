"""A Boltzmann prior as one more layer of an ordinary Keras model: convolutions, `compile`, `fit`.

Called in training the prior moves its chains; before each validation its tracking population updates log Z.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dvae_tf import data, priors, samplers, smoothing


class BinaryAutoencoder(keras.Model):
    """Convolutions, a code of 128 relaxed bits, convolutions; the KL enters by `add_loss`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(32, 3, 2, "same", activation="relu"),
                layers.Conv2D(64, 3, 2, "same", activation="relu"),
                layers.Flatten(),
                layers.Dense(128),
            ]
        )
        self.decoder = keras.Sequential(
            [
                keras.Input((128,)),
                layers.Dense(2 * 2 * 64, activation="relu"),
                layers.Reshape((2, 2, 64)),
                layers.Conv2DTranspose(32, 3, 2, "same", activation="relu"),
                layers.Conv2DTranspose(1, 3, 2, "same"),
            ]
        )
        self.smoothing = smoothing.Power(beta=20.0)
        sampler = samplers.PersistentGibbs(num_chains=100, num_sweeps=10)
        self.prior = priors.BoltzmannPrior(64, 64, self.smoothing, sampler, num_tracking_chains=100)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Log-odds of the pixels; adds KL(q || p) of the relaxed code, nats an image."""
        q = self.smoothing(self.encoder(x - 0.3))
        zeta = q.sample(seed=tf.cast(self.seeds.next(), tf.int32))
        log_prior = self.prior(training=training).log_prob(zeta)
        kl = tf.reduce_mean(tf.reduce_sum(q.log_prob(zeta), -1) - log_prior)
        # KL warm-up: without it the code is ignored.
        self.add_loss(tf.minimum(1.0, tf.cast(self.prior.num_updates, tf.float32) / 1_000) * kl)
        return self.decoder(zeta)


def pixel_loss(x: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-log p(x | zeta), nats an image."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, logits), [1, 2, 3])


def main(epochs: int = 150) -> None:
    """Trains and samples."""
    keras.utils.set_random_seed(0)
    train, validation = (split.reshape(-1, 8, 8, 1) for split in data.load("digits")[:2])
    model = BinaryAutoencoder()
    model.compile(keras.optimizers.Adam(3e-3), loss=pixel_loss, jit_compile=True)
    track = keras.callbacks.LambdaCallback(on_test_begin=lambda logs: model.prior.track())
    model.fit(train, train, 100, epochs, 2, [track], validation_data=(validation, validation))
    # Six of three layers, as many backwards; the machine's two biases and its couplings.
    print(f"{len(model.trainable_variables)} trainable variables")

    log_z = model.prior.measure_log_partition(
        num_temperatures=1_000, num_chains=500, seed=(0, 1), both_sides=True
    )
    print(f"log Z = {log_z.log_partition:.2f} ± {log_z.standard_error:.2f}")
    z = model.prior.sample_binary(num_samples=6, num_sweeps=500, seed=(0, 2))
    for rows in np.asarray(model.decoder(z))[..., 0].transpose(1, 0, 2) > 0:
        print("  ".join("".join(" #"[pixel] for pixel in row.astype(int)) for row in rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
