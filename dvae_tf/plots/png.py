"""Figures and arrays of pixels as the content of PNG files."""

import contextlib
import io
from collections.abc import Iterator

import matplotlib.figure
import matplotlib.image
import matplotlib.style
import numpy as np

_DPI = 144


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib's own style while a figure is made and drawn, whatever the user has set; also a decorator.

    With another style a figure may be upside down, or fail: `text.usetex` needs LaTeX.
    """
    with matplotlib.style.context("default"):
        yield


def figure_png(figure: matplotlib.figure.Figure) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


@own_style()
def pixels_png(pixels: np.ndarray) -> bytes:
    """Gray levels [height, width] or colors [height, width, 3] in [0, 1] as a PNG file."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png", cmap="gray", vmin=0, vmax=1)
    return buffer.getvalue()
