"""Convolutional networks of your own, for images of 48 x 32 pixels, beside those of the library.

The images are crops of the two photographs of scikit-learn, with a pixel on where it is brighter than half of
its crop. Bits hold what is global, local variables what is left; all four networks are Keras layers.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn import datasets

from dvae_tf import config, data, training

SHAPE = HEIGHT, WIDTH = 48, 32
BITS, LOCAL = 64, 32


def crops(step: int = 4) -> data.Images:
    """Crops whose corners are multiples of the step; the right quarter of each photograph is for tests."""
    train, test = [], []
    for photo in datasets.load_sample_images().images:
        gray = photo.mean(-1)
        for top in range(0, gray.shape[0] - HEIGHT + 1, step):
            for left in range(0, gray.shape[1] - WIDTH + 1, step):
                crop = gray[top : top + HEIGHT, left : left + WIDTH]
                bits = (crop > np.median(crop)).astype(np.uint8)
                edge = 3 * gray.shape[1] // 4
                if left >= edge:
                    test.append(bits)
                elif left + WIDTH <= edge:
                    train.append(bits)
    keep = np.random.default_rng(0).permutation(len(test))[:500]
    return data.from_arrays(np.stack(train), test=np.stack(test)[keep], name="crops")


def downward(outputs: int) -> list[layers.Layer]:
    """From images, or from rows of pixels, to numbers: three halvings of 48 x 32."""
    halvings = [layers.Conv2D(channels, 4, 2, "same", activation="relu") for channels in (16, 32, 32)]
    return [layers.Reshape((*SHAPE, 1)), *halvings, layers.Flatten(), layers.Dense(outputs)]


@keras.saving.register_keras_serializable("crops")
class LocalEncoder(layers.Layer):
    """The posterior of the local variables from an image and the bits, [K, B, D], relative to their prior."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.image = keras.Sequential(downward(128))
        self.last = keras.Sequential([layers.Dense(128, "relu"), layers.Dense(2 * LOCAL)])

    def call(self, x: tf.Tensor, code: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Two numbers for each variable."""
        del training
        features = self.image(x)
        shape = tf.concat([tf.shape(code)[:-1], tf.shape(features)[-1:]], 0)
        joined = tf.concat([tf.broadcast_to(features, shape), code], -1)
        rows = self.last(tf.reshape(joined, [-1, joined.shape[-1]]))
        return tf.reshape(rows, tf.concat([tf.shape(code)[:-1], [2 * LOCAL]], 0))


def main(num_steps: int = 2_000, step: int = 4, folder: str = "runs/crops") -> float:
    """Trains, and returns the test NLL in nats; pictures are in the folder."""
    images = crops(step)
    print(f"{len(images.train):,} / {len(images.test):,} crops of {images.image_shape}")
    recipe = config.recipe(
        images.name, "1-layer-nonlin", "gumbolt", k=1, units=BITS, num_local_groups=1, local_units=LOCAL,
        dynamic_binarization=False, num_train_iter=num_steps, num_validations=4, eval_iw_samples=100,
    )  # fmt: skip
    upward = [
        layers.Dense(6 * 4 * 32, "relu"), layers.Reshape((6, 4, 32)),
        *(layers.Conv2DTranspose(channels, 4, 2, "same", activation="relu") for channels in (32, 16)),
        layers.Conv2DTranspose(1, 4, 2, "same"), layers.Flatten(),
    ]  # fmt: skip
    result = training.train(
        recipe,
        images,
        pathlib.Path(folder),
        encoder=keras.Sequential(downward(BITS)),
        decoder=keras.Sequential(upward),
        local_encoder=LocalEncoder(),
        local_prior=keras.Sequential([layers.Dense(128, "relu"), layers.Dense(2 * LOCAL)]),
    )
    print(f"test NLL {result.test_nll:.1f} nats; KL of the bits {result.code_kl:.1f}")
    return result.test_nll


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
