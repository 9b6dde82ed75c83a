"""A Boltzmann prior as a layer of an ordinary Keras model: convolutions, `compile`, `fit`, saving, loading.

Called in training, the prior advances its chains. Before each validation its tracking population updates
log Z. A new process loads the file: it only has to import the class.
"""

import subprocess
import sys
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dvae_tf import data, priors, samplers, smoothing


@keras.saving.register_keras_serializable("examples")
class BinaryAutoencoder(keras.Model):
    """Convolutions, a code of relaxed bits, transposed convolutions; the KL enters by `add_loss`."""

    def __init__(self, bits: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bits, relu = bits, {"activation": "relu"}
        down = [layers.Conv2D(units, 3, 2, "same", **relu) for units in (32, 64)]
        self.encoder = keras.Sequential([*down, layers.Flatten(), layers.Dense(bits)])
        up = [layers.Conv2DTranspose(32, 3, 2, "same", **relu), layers.Conv2DTranspose(1, 3, 2, "same")]
        self.decoder = keras.Sequential([layers.Dense(256, **relu), layers.Reshape((2, 2, 64)), *up])
        self.smoothing = smoothing.Power(beta=20.0)
        sampler = samplers.PersistentGibbs(num_chains=100, num_sweeps=10)
        sizes = bits // 2, bits - bits // 2
        self.prior = priors.BoltzmannPrior(*sizes, self.smoothing, sampler, num_tracking_chains=100)

    def build(self, input_shape: tuple) -> None:
        """Makes the variables, which `load_model` then fills."""
        self.encoder.build(input_shape)
        self.decoder.build((None, self.bits))

    def get_config(self) -> dict[str, Any]:
        """The arguments that `load_model` gives to the constructor."""
        return super().get_config() | {"bits": self.bits}

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the log-odds of the pixels; adds KL(q || p) of the relaxed code, in nats per image."""
        q = self.smoothing(self.encoder(x - 0.3))
        step = tf.cast(self.prior.num_updates, tf.int32)
        zeta = q.sample(seed=tf.stack([0, step]))  # a loaded model continues with the same draws
        log_prior = self.prior(training=training).log_prob(zeta)
        kl = tf.reduce_mean(tf.reduce_sum(q.log_prob(zeta), -1) - log_prior)
        self.add_loss(tf.minimum(1.0, tf.cast(step, tf.float32) / 1_000) * kl)  # avoids posterior collapse
        return self.decoder(zeta)


@keras.saving.register_keras_serializable("examples")
def pixel_loss(x: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-log p(x | zeta), in nats per image."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, logits), [1, 2, 3])


def main(epochs: int = 150) -> None:
    """Trains, measures log Z, saves; another process loads."""
    keras.utils.set_random_seed(0)
    train, validation = (split.reshape(-1, 8, 8, 1) for split in data.load("digits")[:2])
    model = BinaryAutoencoder()
    model.compile(keras.optimizers.Adam(3e-3), loss=pixel_loss, jit_compile=True)
    track = keras.callbacks.LambdaCallback(on_test_begin=lambda logs: model.prior.track())
    model.fit(train, train, 100, epochs, 2, [track], validation_data=(validation, validation))
    print(f"{len(model.trainable_variables)} trainable variables")
    log_z = model.prior.measure_log_partition(1_000, num_chains=500, seed=(0, 1), both_sides=True)
    print(f"log Z = {log_z.log_partition:.2f} ± {log_z.standard_error:.2f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")  # the prior's chains, its log Z and the optimizer included
        logits = model.predict(validation, verbose=0)
        np.savez(f"{folder}/predictions.npz", images=validation, logits=logits)
        subprocess.run([sys.executable, __file__, "load", folder], check=True)


def load(folder: str) -> None:
    """Loads the model in a new process: the same predictions, and samples of its prior, decoded."""
    model = keras.saving.load_model(f"{folder}/model.keras")
    saved = np.load(f"{folder}/predictions.npz")
    difference = np.abs(model.predict(saved["images"], verbose=0) - saved["logits"]).max()
    print(f"loaded in a new process: predictions differ by {difference:.0e} at most")
    z = model.prior.sample_binary(num_samples=6, num_sweeps=500, seed=(0, 2))
    for rows in np.asarray(model.decoder(z))[..., 0].transpose(1, 0, 2) > 0:
        print("  ".join("".join(" #"[pixel] for pixel in row.astype(int)) for row in rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        load(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
