"""The tensors of a nested result."""

import tensorflow as tf


def tensors(nest):
    """All tensors of a nest in order, without the names and the missing values between them."""
    return [leaf for leaf in tf.nest.flatten(nest, expand_composites=True) if tf.is_tensor(leaf)]
