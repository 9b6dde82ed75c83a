"""Builders for TensorFlow Datasets; importing this makes `tfds.load` know their names."""

from .caltech101_silhouettes import Caltech101Silhouettes
from .cifar10_python import Cifar10Python
from .digits8x8 import Digits8x8
from .omniglot28x28 import Omniglot28x28

__all__ = ["Caltech101Silhouettes", "Cifar10Python", "Digits8x8", "Omniglot28x28"]
