"""Figures and arrays of pixels as the content of PNG files."""

import io

import matplotlib.figure
import matplotlib.image
import numpy as np

_DPI = 144


def figure_png(figure: matplotlib.figure.Figure) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def pixels_png(pixels: np.ndarray) -> bytes:
    """Grey levels [height, width] in [0, 1] as a PNG file."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png", cmap="gray", vmin=0, vmax=1)
    return buffer.getvalue()
