"""Trains and evaluates a discrete VAE on your own images, read from .npy or .npz files.

Arrays are [N, H, W], [N, H, W, 3] in color, or [N, D]: booleans, levels in [0, 1], or integers from 0 to
255. Levels become bits at random, anew for each training batch and once for validation and test, or by a
threshold (--binarize); or they stay as they are, with a likelihood of levels (--likelihood).
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from dvae_tf import config, data

from . import common, recipe_flags


def main() -> None:
    """Entry point."""
    define_image_flags()
    recipe_flags.define_flags(struct="2-layer-small", num_train_iter=10_000)
    common.start(_custom, __doc__)


def define_image_flags() -> None:
    """Defines the flags that name your images and what becomes of them."""
    flags.DEFINE_string("train", None, "The training images; `file.npz:name` selects one of several arrays.")
    flags.DEFINE_string("test", None, "The test images.")
    flags.DEFINE_string(
        "validation", None, "The validation images; by default the last tenth of the training images."
    )
    flags.DEFINE_list(
        "image_shape",
        None,
        "Height,width or height,width,3 of [N, D] arrays; by default square if D is a square number.",
    )
    flags.DEFINE_enum(
        "binarize",
        None,
        ["random", "threshold", "none"],
        "What levels become: by default bits at random, or none with a likelihood of levels.",
    )
    flags.DEFINE_string("name", "custom", "The name of the dataset in folders and tables.")


def _custom(_: Sequence[str]) -> None:
    images, dynamic_binarization = read_images(flags.FLAGS.likelihood)
    recipe = recipe_flags.recipe_from_flags(images.name, dynamic_binarization=dynamic_binarization)
    common.train(recipe, lambda: images)


def read_images(likelihood: str) -> tuple[data.Images, bool]:
    """The images of the flags, as a likelihood takes them, and whether each batch is binarized afresh."""
    values = flags.FLAGS
    binarize = values.binarize or ("none" if recipe_flags.takes_levels(likelihood) else "random")
    images = _images(binarize)
    if not images.is_binary or values.binarize:
        print(_LEVELS[binarize])
    return images, binarize == "random" and not images.is_binary


_LEVELS = {
    "random": "Levels: the probability of a pixel being 1, drawn anew for each batch, and once for\n"
    "validation and test. --binarize=threshold makes bits of them, --likelihood=logistic_mixture\n"
    "keeps them.",
    "threshold": "Levels: 1 from the middle on, otherwise 0.",
    "none": "Levels: kept as they are.",
}


def _images(binarize: str) -> data.Images:
    values = flags.FLAGS
    files = {split: getattr(values, split) for split in ("train", "test", "validation")}
    for split in ("train", "test"):
        if not files[split]:
            raise ValueError(f"{split}: expected a .npy or .npz file, got none")
    shape = values.image_shape
    if shape and not (len(shape) in (2, 3) and all(side.isdecimal() for side in shape)):
        raise ValueError(f"image_shape: expected height,width or height,width,3, got {','.join(shape)}")
    arrays: dict[str, Any] = {split: data.read_array(file) for split, file in files.items() if file}
    return data.from_arrays(
        **arrays,
        name=values.name,
        image_shape=config.as_image_shape([int(side) for side in shape]) if shape else None,
        source=", ".join(file for file in files.values() if file),
        binarize=binarize,
    )


if __name__ == "__main__":
    main()
