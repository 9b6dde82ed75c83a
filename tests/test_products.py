"""Tests of products that are right to float32's rounding where TensorFlow rounds factors to TF32.

CPUs do not, so a product that does is imitated here, in NumPy's integers.
"""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs, products, rbm
from dvae_tf.objectives import LikelihoodEstimate
from support import tiny

# 2^-21 per term; sums of float32 numbers round as well.
TERM = 2.0**-21


def tf32(x):
    """The last 13 bits cut off, as tensor cores do."""
    return (np.asarray(x, np.float32).view(np.int32) & -(1 << 13)).view(np.float32)


@tf.custom_gradient
def rounded(x):
    kept = tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), -(1 << 13)), tf.float32)
    return kept, lambda upstream: upstream


def multiply(a, b):
    """A matrix product of a device that rounds factors; its gradient rounds them as well."""

    @tf.custom_gradient
    def product(a, b):
        def gradient(upstream):
            g = rounded(upstream)
            return tf.matmul(g, rounded(b), transpose_b=True), tf.matmul(rounded(a), g, transpose_a=True)

        return tf.matmul(rounded(a), rounded(b)), gradient

    return product(a, b)


def factors(seed, rows=30, inner=200, columns=40):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-3, 3, (inner, 1))
    a = (rng.normal(size=(rows, inner)) / scale.T).astype(np.float32)
    return a, (rng.normal(size=(inner, columns)) * scale).astype(np.float32)


def magnitude(a, b):
    return np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))


@pytest.mark.parametrize("seed", range(5))
def test_products_in_parts(seed):
    a, b = factors(seed)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    error = np.abs(products.in_parts(multiply, tf.constant(a), tf.constant(b)).numpy() - exact)
    # Rounding of the sum of 600 terms, as of random signs, comes on top.
    assert (error <= (TERM + 30 * 2.0**-24) * magnitude(a, b)).all()
    # The imitation itself is wrong by hundreds of times as much.
    np.testing.assert_array_equal(multiply(tf.constant(a), tf.constant(b)), tf.matmul(tf32(a), tf32(b)))
    plain = np.abs(multiply(tf.constant(a), tf.constant(b)).numpy() - exact)
    assert np.median(plain / error.clip(1e-30)) > 100


@pytest.mark.parametrize("seed", range(5))
def test_bits_times_weights(seed):
    rng = np.random.default_rng(seed)
    # One bit a row: the weight itself comes back, rounded by at most one unit in the last place.
    weights = rng.normal(size=[200, 50]).astype(np.float32)
    found = products.in_parts(multiply, tf.eye(200), tf.constant(weights)).numpy()
    assert (np.abs(found.astype(np.float64) - weights) <= 2.0**-23 * np.abs(weights)).all()


def test_gradients_in_parts():
    a, b = (tf.constant(each) for each in factors(0))
    upstream = np.random.default_rng(1).normal(size=[30, 40]).astype(np.float32)

    def gradients(product):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            value = product(a, b)
        return tape.gradient(value, [a, b], output_gradients=tf.constant(upstream))

    exact = [each.numpy().astype(np.float64) for each in (a, b)]
    wanted = upstream @ exact[1].T, exact[0].T @ upstream
    size = magnitude(upstream, exact[1].T), magnitude(exact[0].T, upstream)
    good = gradients(lambda a, b: products.in_parts(multiply, a, b))
    bad = gradients(multiply)
    for found, rounded_too, right, scale in zip(good, bad, wanted, size, strict=True):
        assert (np.abs(found - right) <= (TERM + 30 * 2.0**-24) * scale).all()
        assert (np.abs(rounded_too - right) > 1e-5 * scale).any()


def test_second_derivatives_in_parts():
    a, b = (tf.constant(each) for each in factors(2, 3, 4, 5))

    def hessian_product(product):
        with tf.GradientTape() as outer:
            outer.watch(b)
            with tf.GradientTape() as inner:
                inner.watch(a)
                value = tf.reduce_sum(product(a, b) ** 2)
            first = inner.gradient(value, a)
            total = tf.reduce_sum(first**3)
        return outer.gradient(total, b)

    wanted = hessian_product(tf.matmul)
    np.testing.assert_allclose(
        hessian_product(lambda a, b: products.in_parts(tf.matmul, a, b)), wanted, rtol=2e-4
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3.4e38])
def test_numbers_at_the_edge(value):
    a = np.array([[value, 1.0], [2.0, 3.0]], np.float32)
    b = np.array([[1.0], [0.5]], np.float32)
    np.testing.assert_allclose(products.in_parts(tf.matmul, tf.constant(a), tf.constant(b)), a @ b, rtol=1e-6)


@pytest.fixture
def in_parts_everywhere(monkeypatch):
    """Products as on a GPU that rounds; programs compiled before are of no use."""
    used = []
    monkeypatch.setattr(products, "are_rounded", lambda dtype: used.append(dtype) or dtype == tf.float32)
    return used


def test_functions_of_a_machine(in_parts_everywhere):
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=shape).astype(np.float32) for shape in ([5], [7], [5, 7])]
    machine = rbm.as_rbm(*parameters)
    left, right = (rng.random([2, 3, size]).astype(np.float32) for size in (5, 7))
    bias_left, bias_right, weights = (each.astype(np.float64) for each in parameters)
    wanted = -left @ bias_left - right @ bias_right - np.einsum("abi,ij,abj->ab", left, weights, right)
    np.testing.assert_allclose(rbm.energy(machine, left, right), wanted, rtol=1e-5)
    assert in_parts_everywhere
    in_parts_everywhere.clear()
    compiled = tf.function(lambda left, right: rbm.energy(machine, left, right), jit_compile=True)
    np.testing.assert_allclose(compiled(left, right), wanted, rtol=1e-5)
    mapped = tf.vectorized_map(lambda pair: rbm.energy(machine, *pair), (left, right))
    np.testing.assert_allclose(mapped, wanted, rtol=1e-5)
    graph = graphs.from_edges(4, [(0, 1), (1, 2), (0, 2), (2, 3)])
    biases, couplings, z = (rng.normal(size=size).astype(np.float32) for size in (4, 4, [6, 4]))
    products_of_pairs = z[:, graph.edges[:, 0]] * z[:, graph.edges[:, 1]]
    np.testing.assert_allclose(
        graphs.energy(graph, biases, couplings, z), -z @ biases - products_of_pairs @ couplings, rtol=1e-4
    )


@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="there is no GPU")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_products_on_a_gpu(jit_compile):
    a, b = factors(0)
    exact = a.astype(np.float64) @ b.astype(np.float64)

    def error(multiply):
        program = tf.function(lambda a, b: multiply(a, b), jit_compile=jit_compile)
        return np.abs(program(tf.constant(a), tf.constant(b)).numpy() - exact) / magnitude(a, b)

    assert products.are_rounded(tf.float32)
    assert error(products.matmul).max() <= TERM + 30 * 2.0**-24
    # TensorFlow's own are not right: otherwise these have no purpose.
    assert error(tf.matmul).max() > 1e-5


def test_likelihoods_are_measured_without_rounding(monkeypatch):
    setting = tf.config.experimental.tensor_float_32_execution_enabled
    seen = []

    def stream(x, *args):
        seen.append((setting(), products.are_rounded(tf.float32)))
        return LikelihoodEstimate(*tf.zeros([2, x.shape[0]]))

    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    model = tiny.rough_model()
    monkeypatch.setattr(model, "_stream", stream)
    assert setting()
    model.estimate_likelihood(np.zeros([3, tiny.NUM_PIXELS], np.float32))
    # The machine's products stay in parts, for where else the program is called.
    assert seen == [(False, True)]
    assert setting()
    with pytest.raises(KeyError), products.unrounded(), products.unrounded():
        raise KeyError
    assert setting()

    # Contexts of threads may end in any order.
    first, second = products.unrounded(), products.unrounded()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not setting()
    second.__exit__(None, None, None)
    assert setting()

    @tf.function
    def traced():
        with products.unrounded():
            seen.append(setting())

    traced()
    assert seen[-1] is True
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        with products.unrounded():
            assert not products.are_rounded(tf.float32)
        assert not setting()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)


def test_no_other_module_multiplies():
    """Networks are made of Keras layers; every other product is one of `products`."""
    package = pathlib.Path(products.__file__).parent
    files = [file for file in package.rglob("*.py") if file.name != "products.py"]
    own = re.compile(r"\b(tf|ops)\.(linalg\.)?(matmul|matvec|tensordot|einsum)\b")
    assert len(files) > 100
    assert not [file.name for file in files if own.search(file.read_text())]
    assert own.search(pathlib.Path(products.__file__).read_text())


def test_products_are_tensorflows_own_where_nothing_rounds():
    assert not products.are_rounded(tf.float64)
    a, b = factors(0)
    if not tf.config.get_visible_devices("GPU"):
        assert not products.are_rounded(tf.float32)
        np.testing.assert_array_equal(products.matmul(a, b), tf.matmul(a, b))
        np.testing.assert_array_equal(products.tensordot(a, b, 1), tf.tensordot(a, b, 1))
        np.testing.assert_array_equal(products.matvec(a, b[:, 0]), tf.linalg.matvec(a, b[:, 0]))
