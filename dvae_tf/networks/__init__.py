"""Networks from images to bits and local variables, and back: dense ones, and convolutional residual ones.

All take and return images as rows `[B, X]`, so that they fit together with any others.
"""

from .dense import Network
from .grid_network import GridNetwork
from .image_decoder import ImageDecoder
from .image_features import ImageFeatures
from .places import grid_of

__all__ = ["GridNetwork", "ImageDecoder", "ImageFeatures", "Network", "grid_of"]
