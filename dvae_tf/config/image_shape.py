"""The shape of images, whose pixels the library keeps flat."""

import operator
from typing import Any

# (height, width), or (height, width, 3) of images in color.
ImageShape = tuple[int, int] | tuple[int, int, int]


def as_image_shape(value: Any) -> ImageShape:
    """Returns (height, width), or (height, width, 3), as Python integers.

    Flat images hold pixels row by row, and the channels of a pixel one after another. A single channel is
    left out of the shape.

    Args:
      value: two or three integers of Python or NumPy.

    Raises:
      ValueError: if they are not positive, or the number of channels is neither 1 nor 3.
    """
    try:
        sides = tuple(operator.index(side) for side in value)
    except TypeError:
        sides = ()
    if len(sides) in (2, 3) and min(sides) > 0:
        height, width, channels = (*sides, 1)[:3]
        if channels in (1, 3):
            return (height, width) if channels == 1 else (height, width, channels)
    raise ValueError(
        "image_shape: expected two positive integers (height, width), or three with 3 channels, "
        f"got {value!r}"
    )
