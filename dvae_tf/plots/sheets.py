"""Sheets of images: rows of samples, and reconstructions below their originals."""

import math

import matplotlib.figure
import numpy as np

from ..config import ImageShape, as_image_shape
from .png import figure_png, own_style, pixels_png

# Images in a row of a sheet.
COLUMNS = 12
_GRAY = 0.5
# Sheets are enlarged to at least this width; browsers blur what they enlarge themselves.
_MIN_WIDTH = 1_000


def tile(images: np.ndarray, image_shape: ImageShape, columns: int = COLUMNS) -> np.ndarray:
    """Lays out images [N, X] in rows, separated by a gray line: one array [height, width].

    Images in color become [height, width, 3], limited to [0, 1].

    Raises:
      ValueError: if the images have another number of pixels than `image_shape`.
    """
    height, width, *channels = shape = as_image_shape(image_shape)
    if images.ndim != 2 or images.shape[1] != math.prod(shape):
        raise ValueError(
            f"images: expected [N, {math.prod(shape)}] for image_shape {shape}, got {list(images.shape)}"
        )
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, *channels), _GRAY, np.float32)
    for index, image in enumerate(images):
        top = (index // columns) * (height + 1) + 1
        left = (index % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image.reshape(shape)
    return np.clip(sheet, 0, 1) if channels else sheet


def interleave(originals: np.ndarray, reconstructions: np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """Orders images [N, X] for `tile`: each row of originals, and below it their reconstructions.

    Raises:
      ValueError: if there are not as many reconstructions as originals, of the same size.
    """
    if originals.ndim != 2 or reconstructions.shape != originals.shape:
        raise ValueError(
            f"reconstructions: expected the shape of the originals, {list(originals.shape)}, "
            f"got {list(reconstructions.shape)}"
        )
    rows = []
    for start in range(0, len(originals), columns):
        for images in (originals, reconstructions):
            row = images[start : start + columns]
            # A short last row is padded with gray images, so that pairs stay in their columns.
            rows.append(np.pad(row, ((0, columns - len(row)), (0, 0)), constant_values=_GRAY))
    return np.concatenate(rows)


def sheet_png(images: np.ndarray, image_shape: ImageShape) -> bytes:
    """Images [N, X] as a PNG file without frame or title."""
    sheet = tile(images, image_shape)
    scale = -(-_MIN_WIDTH // sheet.shape[1])
    return pixels_png(sheet.repeat(scale, 0).repeat(scale, 1))


@own_style()
def titled_sheet_png(images: np.ndarray, image_shape: ImageShape, title: str) -> bytes:
    """Images [N, X] as a PNG file with a title."""
    sheet = tile(images, image_shape)
    height, width = sheet.shape[:2]
    figure = matplotlib.figure.Figure(figsize=(8, 8 * height / width + 0.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest", origin="upper")
    axes.set_title(title, fontsize=8)
    axes.axis("off")
    return figure_png(figure)
