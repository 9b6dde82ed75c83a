"""Binarization of gray levels: at random with fixed seeds, or by a threshold."""

from collections.abc import Callable

import numpy as np

# The seeds for every dataset that is published as gray levels. Reported likelihoods depend on them: another
# binarization of the same images is another test set.
VALIDATION_SEED = 1
TEST_SEED = 2


def binarize_once(probs: np.ndarray, seed: int) -> np.ndarray:
    """Draws one binary image from each row of pixel probabilities.

    Args:
      probs: `[N, X]` in [0, 1], the probability of each pixel being 1.
      seed: Non-negative integer; the same seed gives the same images.

    Returns:
      float32 `[N, X]` of 0 and 1.

    Raises:
      ValueError: If `seed` is negative, or if a value of `probs` is not finite or outside of [0, 1].
    """
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, got {seed}")
    probs = np.asarray(probs)
    if not np.all((probs >= 0) & (probs <= 1)):
        raise ValueError(
            f"probs: expected finite values in [0, 1], got values from {probs.min()} to {probs.max()}"
        )
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    return (generator.random(probs.shape) < probs).astype(np.float32)


def binarize_held_out(splits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Binarizes `validation` and `test` once, with the seeds above; `train` keeps its probabilities."""
    return splits | {
        "validation": binarize_once(splits["validation"], VALIDATION_SEED),
        "test": binarize_once(splits["test"], TEST_SEED),
    }


def binarize_by_threshold(splits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every pixel of 1/2 or more is 1, every other 0."""
    return {split: (levels >= 0.5).astype(np.float32) for split, levels in splits.items()}


# Ways to make bits of gray levels: name -> a function from splits to splits.
BINARIZATIONS: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "random": binarize_held_out,
    "threshold": binarize_by_threshold,
    "none": dict,
}
