"""The training examples of each step, a function of the seed and the step alone."""

import functools

import numpy as np

# Separates the random stream of the epochs from others with the same seed.
_TAG = 0x0E90C4


def batch_indices(
    seed: int, start_step: int, num_steps: int, num_examples: int, batch_size: int
) -> np.ndarray:
    """Returns the rows of the training split that make up the batches of a range of steps.

    The order of epoch e is a permutation drawn from (seed, e) only. Its batches are its first
    floor(num_examples / batch_size) * batch_size entries in turn; the rest is left out of this epoch. So
    any split of a range of steps gives the same batches, and a resumed run needs nothing but its step.

    Args:
      seed: Non-negative integer.
      start_step: The first step, counted from 0 at the start of training.
      num_steps: The number of steps; they may cross epochs.
      num_examples: The number of rows of the training split.
      batch_size: The number of rows of a batch.

    Returns:
      int32 `[num_steps, batch_size]`, entries from 0 to num_examples - 1.

    Raises:
      ValueError: If `batch_size` is less than 1 or more than `num_examples`, or if `seed`,
        `start_step` or `num_steps` is negative.
    """
    if not 1 <= batch_size <= num_examples:
        raise ValueError(
            f"batch_size: expected from 1 to {num_examples}, the number of examples, got {batch_size}"
        )
    for name, value in (("seed", seed), ("start_step", start_step), ("num_steps", num_steps)):
        if value < 0:
            raise ValueError(f"{name}: expected at least 0, got {value}")
    steps_per_epoch = num_examples // batch_size
    indices = np.empty((num_steps, batch_size), np.int32)
    done = 0
    while done < num_steps:
        epoch, first = divmod(start_step + done, steps_per_epoch)
        count = min(num_steps - done, steps_per_epoch - first)
        order = _epoch_order(seed, epoch, num_examples)
        rows = order[first * batch_size : (first + count) * batch_size]
        indices[done : done + count] = rows.reshape(count, batch_size)
        done += count
    return indices


# Training requests a few dozen steps at a time, which lie in one epoch, or in two at the end of one.
@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """Draws the order of one epoch: int32 `[num_examples]`, read-only because it is cached."""
    sequence = np.random.SeedSequence([seed, _TAG, epoch])
    generator = np.random.Generator(np.random.Philox(sequence))
    order = generator.permutation(num_examples).astype(np.int32)
    order.setflags(write=False)
    return order
