"""Images of 48 x 32 pixels: bits for the arrangement, local continuous variables for the places of the discs.

Each image has three times two fields, an even number of which hold a disc: that is global and discrete. Each
disc has a position and a size of its own: that is local and continuous. Convolutional models with and without
local variables are trained, measured, and drawn from.

    python examples/local_variables.py [steps]
"""

import sys
import tempfile

import numpy as np

from dvae_tf import config, data, models, runs, training

SHAPE = (48, 32)
FIELD = 16


def draw(count: int, seed: int) -> np.ndarray:
    """Images `[count, 48, 32]` of bits."""
    rng = np.random.default_rng(seed)
    there = rng.integers(0, 2, (count, 3, 2))
    # The last field makes the number of discs even.
    there[:, 2, 1] ^= there.sum((1, 2)) % 2
    center, radius = rng.uniform(6, 10, (2, count, 3, 2)), rng.uniform(3, 6, (count, 3, 2))
    row, column = np.ogrid[:FIELD, :FIELD]
    distance = np.hypot(row - center[0][..., None, None], column - center[1][..., None, None])
    discs = (distance < radius[..., None, None]) & (there[..., None, None] == 1)
    return discs.swapaxes(2, 3).reshape(count, *SHAPE).astype(np.float32)


def evenness(images: np.ndarray) -> float:
    """The share of images with an even number of discs: a field holds one if more than 8 % of it is dark."""
    fields = images.reshape(len(images), 3, FIELD, 2, FIELD).mean((2, 4))
    return float(np.mean((fields > 0.08).sum((1, 2)) % 2 == 0))


def show(images: np.ndarray) -> None:
    """Prints images side by side, every other row and column."""
    for rows in (images.reshape(-1, *SHAPE)[:, ::4, ::2] > 0.5).transpose(1, 0, 2):
        print(" | ".join("".join(" #"[int(pixel)] for pixel in row) for row in rows))


def main(num_train_iter: int = 3_000) -> dict[int, runs.Result]:
    """Trains both models; returns their results by the number of local groups."""
    images = data.from_arrays(draw(4_000, 0), draw(500, 1), name="discs")
    results = {}
    for num_local_groups in (1, 0):
        recipe = config.recipe(
            images.name,
            "1-layer-conv",
            "gumbolt",
            k=1,
            num_local_groups=num_local_groups,
            units=32,
            channels=(8, 16, 16),
            dynamic_binarization=False,
            num_train_iter=num_train_iter,
            num_validations=2,
            validation_iw_samples=10,
            eval_iw_samples=100,
        )
        with tempfile.TemporaryDirectory() as folder:
            result = results[num_local_groups] = training.train(recipe, images, folder, verbose=False)
            model = models.load(folder)
        print(f"{num_local_groups} local groups: test NLL {result.test_nll:.1f} nats")
        print(f"  KL of the bits {result.code_kl:.1f}, of local variables {sum(result.local_kl or []):.1f}")
        samples = model.sample(500, seed=(0, 1)).images.numpy()
        print(f"  {evenness(samples.reshape(-1, *SHAPE)):.0%} of samples have an even number of discs")
        if num_local_groups:
            z = model.sample(1, seed=(0, 2)).z.numpy().repeat(4, 0)
            print("the same bits, local variables drawn anew:")
            show(model.decode(z, model.draw_local(z, seed=(0, 3))).numpy())
    return results


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
