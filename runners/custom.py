"""Trains and evaluates a discrete VAE on your own images, read from .npy or .npz files.

Arrays are [N, H, W] or [N, D]: booleans, grey levels in [0, 1], or integers from 0 to 255. Grey levels are
pixel probabilities: they are binarised anew for each training batch, and once for validation and test.
"""

from collections.abc import Sequence

from absl import flags

from dvae_tf import data

from . import common


def main() -> None:
    """Entry point."""
    flags.DEFINE_string("train", None, "The training images; `file.npz:name` selects one of several arrays.")
    flags.DEFINE_string("test", None, "The test images.")
    flags.DEFINE_string(
        "validation", None, "The validation images; by default the last tenth of the training images."
    )
    flags.DEFINE_list(
        "image_shape", None, "Height,width of [N, D] arrays; by default square if D is a square number."
    )
    flags.DEFINE_string("name", "custom", "The name of the dataset in folders and tables.")
    common.define_flags(struct="2-layer-small", num_train_iter=10_000)
    common.start(_custom, __doc__)


def _custom(_: Sequence[str]) -> None:
    images = _images()
    recipe = common.recipe_from_flags(images.name, dynamic_binarization=not images.is_binary)
    common.train(recipe, lambda: images)


def _images() -> data.Images:
    values = flags.FLAGS
    files = {split: getattr(values, split) for split in ("train", "test", "validation")}
    for split in ("train", "test"):
        if not files[split]:
            raise ValueError(f"{split}: expected a .npy or .npz file, got none")
    shape = values.image_shape
    if shape and not (len(shape) == 2 and all(side.isdecimal() for side in shape)):
        raise ValueError(f"image_shape: expected height,width, got {','.join(shape)}")
    return data.from_arrays(
        **{split: data.read_array(file) for split, file in files.items() if file},
        name=values.name,
        image_shape=(int(shape[0]), int(shape[1])) if shape else None,
        source=", ".join(file for file in files.values() if file),
    )


if __name__ == "__main__":
    main()
