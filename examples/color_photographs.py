"""A binary code for patches of color photographs, in bits per dimension, against pixels without a code.

The two photographs of scikit-learn are cut into stripes, and each stripe belongs to one split: no test patch
overlaps a training patch. Both models give probabilities of the 256 levels, by mixtures of logistics.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from sklearn import datasets

from dvae_tf import config, data, evaluation, models, training

SIDE = 16
STRIPE = 64  # columns


def patches(stripes: list[np.ndarray], step: int) -> np.ndarray:
    """All patches of the stripes [height, width, 3] whose corners are multiples of the step, uint8."""
    return np.stack(
        [
            stripe[top : top + SIDE, left : left + SIDE]
            for stripe in stripes
            for top in range(0, stripe.shape[0] - SIDE + 1, step)
            for left in range(0, stripe.shape[1] - SIDE + 1, step)
        ]
    )


def photographs(step: int = 4) -> data.Images:
    """Patches of three stripes of five for training, which overlap; validation and test have one each."""
    photos = datasets.load_sample_images().images
    stripes = [
        (left // STRIPE % 5, photo[:, left : left + STRIPE])
        for photo in photos
        for left in range(0, photo.shape[1], STRIPE)
    ]
    return data.from_arrays(
        patches([stripe for number, stripe in stripes if number < 3], step),
        test=patches([stripe for number, stripe in stripes if number == 4], max(step, SIDE)),
        validation=patches([stripe for number, stripe in stripes if number == 3], max(step, SIDE)),
        name="photographs",
        binarize="none",
    )


def pixels_alone(images: data.Images, num_steps: int) -> float:
    """Test NLL of independent pixels, each with a mixture of its own, fitted to the training patches."""
    likelihood = models.LogisticMixture(num_components=10, num_channels=3)
    outputs = tf.Variable(likelihood.initial_outputs(images.train.mean(0)), dtype=tf.float32)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.03, num_steps))
    optimizer.build([outputs])

    def nll(x: np.ndarray) -> tf.Tensor:
        return -tf.reduce_mean(likelihood(outputs).log_prob(x))

    @tf.function
    def update(x: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = nll(x)
        optimizer.apply(tape.gradient(loss, [outputs]))

    rng = np.random.default_rng(0)
    for _ in range(num_steps):
        update(tf.constant(images.train[rng.integers(len(images.train), size=100)]))
    return float(nll(images.test))


def main(num_steps: int = 2_000, step: int = 4, folder: str = "runs/photographs") -> tuple[float, float]:
    """Trains both, and returns their test NLLs in bits per dimension; pictures are in the folder."""
    images = photographs(step)
    print(" / ".join(f"{len(split):,}" for split in images[:3]), "patches of", images.image_shape)
    alone = evaluation.bits_per_dim(pixels_alone(images, num_steps // 2), images.train.shape[1])
    print(f"pixels without a code: {alone:.3f} bits/dim", flush=True)
    recipe = config.recipe(
        images.name,
        "1-layer-nonlin",
        "gumbolt",
        k=1,
        likelihood="logistic_mixture",
        dynamic_binarization=False,
        num_train_iter=num_steps,
        num_validations=4,
        eval_iw_samples=100,
        ais_temperatures=1_000,
    )
    result = training.train(recipe, images, pathlib.Path(folder))
    print(f"binary code: {result.test_bits_per_dim:.3f} bits/dim ({result.test_nll:.1f} nats a patch)")
    return alone, result.test_bits_per_dim


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
