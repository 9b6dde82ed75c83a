"""A classifier with a binary bottleneck and 100 labels, compared with logistic regression on the same labels.

All 1,297 training digits shape the code, 32 + 32 bits under a Boltzmann prior; the class is read from it.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn import linear_model

from dvae_tf import priors, samplers, smoothing
from dvae_tf.data import digits

BITS, LABELS, LABEL_WEIGHT = 64, 100, 100.0


class Classifier(keras.Model):
    """Encoder, relaxed bits, and two heads: the pixels and the class."""

    def __init__(self) -> None:
        super().__init__()
        hidden = {"activation": "relu"}
        self.encoder = keras.Sequential(
            [
                layers.Dense(256, **hidden),
                layers.Dropout(0.3),
                layers.Dense(256, **hidden),
                layers.Dense(BITS),
            ]
        )
        self.decoder = keras.Sequential([layers.Dense(256, **hidden), layers.Dense(64)])
        self.head = layers.Dense(10)
        self.smoothing = smoothing.Power(beta=20.0)
        sampler = samplers.PopulationAnnealing(num_chains=100, num_sweeps=5)
        self.prior = priors.BoltzmannPrior(BITS // 2, BITS // 2, self.smoothing, sampler)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Log-odds of pixels and classes; bits instead of their relaxation where nothing is trained."""
        logits = self.encoder(x, training=training)
        if not training:
            z = tf.cast(logits > 0, tf.float32)
            return {"pixels": self.decoder(z), "label": self.head(z)}
        q = self.smoothing(logits)
        zeta = q.sample(seed=tf.cast(self.seeds.next(), tf.int32))
        log_prior = self.prior(training=True).log_prob(zeta)
        kl = tf.reduce_mean(tf.reduce_sum(q.log_prob(zeta), -1) - log_prior)
        # KL warm-up: without it the code is ignored.
        self.add_loss(tf.minimum(1.0, tf.cast(self.prior.num_updates, tf.float32) / 1_000) * kl)
        return {"pixels": self.decoder(zeta), "label": self.head(zeta)}


def main(epochs: int = 300) -> None:
    """Trains both and compares them on the test digits."""
    keras.utils.set_random_seed(0)
    splits = digits.splits()
    train, test = splits["train"], splits["test"]
    known = np.arange(len(train.labels)) < LABELS
    model = Classifier()
    losses = {
        "pixels": lambda x, logits: tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, logits), -1),
        "label": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(keras.optimizers.Adam(2e-3), loss=losses, jit_compile=True)
    targets = {"pixels": train.probs, "label": train.labels}
    weights = {"pixels": np.ones(len(known)), "label": LABEL_WEIGHT * known}
    model.fit(train.probs, targets, 100, epochs, verbose=0, sample_weight=weights)
    classes = np.asarray(model.predict(test.probs, verbose=0)["label"]).argmax(-1)
    regression = linear_model.LogisticRegression(max_iter=5_000)
    regression.fit(train.probs[known], train.labels[known])
    print(f"binary bottleneck:   {np.mean(classes == test.labels):.1%} of {len(classes)} test digits right")
    print(f"logistic regression: {regression.score(test.probs, test.labels):.1%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
