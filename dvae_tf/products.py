r"""Matrix products of a machine, right to float32's rounding on every device.

Unless a process says otherwise (`tf.config.experimental.enable_tensor_float_32_execution`), TensorFlow
rounds the factors of float32 products on recent GPUs to TF32, 11 significant bits: energies are then wrong
by 1e-4 of their size. The networks of a model may be trained so, its machine may not, and likelihoods are not
measured so (`unrounded`). Where products are rounded, a factor is divided into its nearest number of 11 bits
and the rest (Ootomo and Yokota, 2022), and

$$
a b \approx a_1 b_1 + (a_1 b_2 + a_2 b_1), \qquad |a_2| \le 2^{-11} |a|, \quad |b_2| \le 2^{-11} |b|.
$$

TF32 has room for the first parts, and takes at most $2^{-23}$ of a or b off the second ones; what is left
out is at most $2^{-22} |a b|$. So each term of a product is within $2^{-21} |a b|$, and of bits times weights
within $2^{-23}$. Gradients are products of the same kind. On CPUs, in float64 and with TF32 switched off,
products are TensorFlow's own.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_Product = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# The process's own setting for each context of `unrounded` that is open, in any thread.
_own_settings: list[bool] = []
_lock = threading.Lock()

# Bits of a float32 number that TF32 has no room for.
_DROPPED_BITS = 13


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> tf.Tensor:
    """`tf.matmul` of tensors of one dtype."""
    return _product(functools.partial(tf.matmul, transpose_a=transpose_a, transpose_b=transpose_b), a, b)


def matvec(a: Any, b: Any, transpose_a: bool = False) -> tf.Tensor:
    """`tf.linalg.matvec` of tensors of one dtype."""
    return _product(functools.partial(tf.linalg.matvec, transpose_a=transpose_a), a, b)


def tensordot(a: Any, b: Any, axes: Any) -> tf.Tensor:
    """`tf.tensordot` of tensors of one dtype."""
    return _product(lambda first, second: tf.tensordot(first, second, axes), a, b)


def are_rounded(dtype: tf.DType) -> bool:
    """Whether TensorFlow may round the factors of products of a dtype to TF32 in this process.

    Also inside of `unrounded`, since a program that is traced there may be called elsewhere.
    """
    with _lock:
        setting = (*_own_settings, tf.config.experimental.tensor_float_32_execution_enabled())[0]
    return dtype == tf.float32 and setting and bool(tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def unrounded() -> Iterator[None]:
    """A context in which TensorFlow rounds no float32 product to TF32, not even those of networks.

    It holds for what is called inside, and in programs that are compiled there; while a program is being
    traced it does nothing. TensorFlow's setting is one for the process: threads share it.
    """
    if not tf.executing_eagerly():
        yield
        return
    with _lock:
        _own_settings.append(tf.config.experimental.tensor_float_32_execution_enabled())
        tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        with _lock:
            before = _own_settings[0]
            _own_settings.pop()
            # The last context to end restores what the first one found.
            if not _own_settings:
                tf.config.experimental.enable_tensor_float_32_execution(before)


def _product(multiply: _Product, a: Any, b: Any) -> tf.Tensor:
    a = tf.convert_to_tensor(a)
    b = tf.convert_to_tensor(b)
    return in_parts(multiply, a, b) if are_rounded(a.dtype) else multiply(a, b)


def in_parts(multiply: _Product, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """A product of float32 tensors as the sum of three whose factors fit into TF32, and so its gradients.

    Args:
      multiply: any product that is linear in each factor, such as `tf.matmul`.
      a: its first factor.
      b: its second one.
    """

    @tf.custom_gradient
    def product(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_a = in_parts(_adjoint(multiply, a), upstream, b)
            of_b = in_parts(_adjoint(lambda second, first: multiply(first, second), b), upstream, a)
            return of_a, of_b

        (a_1, a_2), (b_1, b_2) = _parts(a), _parts(b)
        # An infinite factor has no rest, and is not to meet the rest of the other one, which may be 0.
        rest = multiply(_finite(a_1), b_2) + multiply(a_2, _finite(b_1))
        return multiply(a_1, b_1) + rest, gradient

    return product(a, b)


def _adjoint(multiply: _Product, factor: tf.Tensor) -> _Product:
    """The gradient with respect to the first factor, as a product of the upstream gradient and the second."""

    def adjoint(upstream: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        anywhere = tf.zeros_like(factor)
        with tf.GradientTape() as tape:
            tape.watch(anywhere)
            out = multiply(anywhere, other)
        return tape.gradient(out, anywhere, output_gradients=upstream)

    return adjoint


def _parts(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The nearest numbers of 11 significant bits, and the rest; 0 of infinities."""
    # By bits, since XLA may drop a conversion to a shorter dtype and back.
    half, mask = 1 << (_DROPPED_BITS - 1), -(1 << _DROPPED_BITS)
    nearest = tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32) + half, mask), tf.float32)
    return nearest, tf.where(tf.math.is_inf(nearest), tf.zeros_like(x), x - nearest)


def _finite(x: tf.Tensor) -> tf.Tensor:
    """0 in the place of infinities."""
    return tf.where(tf.math.is_inf(x), tf.zeros_like(x), x)
