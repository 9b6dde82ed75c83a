"""Every smoothing at the ends of its range: finite, in range, right in sign, NaN for NaN."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from scipy import special

from dvae_tf.smoothing import Concrete, Power, ShiftedGaussian
from support import extremes, smoothing_cases
from support.extremes import assert_finite, property_test
from support.smoothing_cases import CASES, MIXTURES, each_case, each_dtype, parametrize

SMOOTH = parametrize([case for case in MIXTURES if not case.has_atom])
LEVELS = (1e-30, 1e-6, 0.01, 0.3, 0.5, 0.7, 0.99, 1 - 2.0**-22)


def _is_unit(case):
    return case.oracle.support == (0.0, 1.0)


def _theta(case, data):
    """Parameters of a case over the supported range."""
    if case.layer is ShiftedGaussian:
        # shift = (sigmoid(h) - 1/2) / 2; scale = 0.05 + |0.2 s|.
        return data.draw(st.floats(-0.25, 0.25)), data.draw(extremes.log_uniform(0.05, 250.0))
    if case.layer is Concrete:
        return (data.draw(extremes.log_uniform(1e-2, 10.0)),)
    return (data.draw(extremes.betas(1.0 if case.layer is Power else 0.0)),)


def _zetas(case, dtype, drawn):
    make = extremes.unit_zetas if _is_unit(case) else extremes.real_zetas
    return make(dtype.as_numpy_dtype, drawn)


def _grid(dtype, columns, rows, theta):
    """Every pair of a column and a row, with theta for each."""
    grid = np.meshgrid(columns, rows, indexing="ij")
    return [
        np.array(each, dtype.as_numpy_dtype) for each in (*grid, *(np.full_like(grid[0], t) for t in theta))
    ]


def _in_float64(case, dtype, theta):
    """theta rounded to the dtype, at least the smallest value that the constructor accepts."""
    return tuple(float(dtype.as_numpy_dtype(each)) for each in theta)


def _method(case, dtype, name):
    return lambda zeta, logits, *theta: getattr(case.distribution(logits, theta, dtype), name)(zeta)


@each_case
@each_dtype
@property_test(data=st.data(), logits=extremes.logits(), drawn=extremes.units)
def test_density_and_cdf(case, dtype, data, logits, drawn):
    theta = _theta(case, data)
    arguments = _grid(dtype, _zetas(case, dtype, drawn), logits, theta)
    log_prob = assert_finite(_method(case, dtype, "log_prob"), *arguments)
    cdf = assert_finite(_method(case, dtype, "cdf"), *arguments)
    rounding = 8 * np.finfo(dtype.as_numpy_dtype).eps
    assert np.all((cdf >= 0) & (cdf <= 1))
    assert np.all(np.diff(cdf, axis=0) >= -rounding)
    # Compared with the oracle unless zeta is so close to an edge that the logarithm of the distance is
    # infinite.
    zeta, logits, *_ = (each.astype(np.float64) for each in arguments)
    limits = np.finfo(dtype.as_numpy_dtype)
    known = (zeta >= 4 * limits.tiny) & (zeta < 1) if _is_unit(case) else np.full(zeta.shape, True)
    theta = _in_float64(case, dtype, theta)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        expected = case.log_density(theta, zeta, logits), case.cdf(theta, zeta, logits)
    for found, exact in zip((log_prob, cdf), expected, strict=True):
        resolved = known & np.isfinite(exact)
        assert resolved.mean() > 0.3
        tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == tf.float32 else {"rtol": 1e-9, "atol": 1e-9}
        np.testing.assert_allclose(found[resolved], exact[resolved], **tolerance)


@SMOOTH
@each_dtype
@property_test(data=st.data(), logits=extremes.logits(), drawn=extremes.units)
def test_bit_behind_zeta(case, dtype, data, logits, drawn):
    theta = _theta(case, data)
    arguments = _grid(dtype, _zetas(case, dtype, drawn), logits, theta)
    ratio = assert_finite(_method(case, dtype, "log_density_ratio"), *arguments)
    # Toward 1 it favors z = 1.
    assert np.all(np.diff(ratio, axis=0) >= -1e-6 * (1 + np.abs(ratio[1:])))
    middle = 0.5 + (theta[0] if case.layer is ShiftedGaussian else 0.0)
    zeta = arguments[0]
    assert np.all(ratio[zeta > middle + 1e-6] >= 0)
    assert np.all(ratio[zeta < middle - 1e-6] <= 0)
    probs = assert_finite(
        lambda *arguments: _method(case, dtype, "binary_posterior")(*arguments).probs_parameter(), *arguments
    )
    assert np.all((probs >= 0) & (probs <= 1))


@each_case
@each_dtype
@property_test(data=st.data(), logits=extremes.logits())
def test_beyond_the_support(case, dtype, data, logits):
    theta = _theta(case, data)
    numbers = np.finfo(dtype.as_numpy_dtype)
    beyond = [-np.inf, np.inf, *(extremes.outside_unit(dtype.as_numpy_dtype) if _is_unit(case) else ())]
    zeta, logits, *theta = _grid(dtype, beyond, logits, theta)
    q = case.distribution(logits, theta, dtype)
    assert np.all(q.log_prob(zeta) == -np.inf)
    np.testing.assert_allclose(q.cdf(zeta), zeta > 0.5, atol=8 * numbers.eps)


@each_case
@each_dtype
@property_test(data=st.data(), logits=extremes.logits(), seed=extremes.seeds)
def test_samples(case, dtype, data, logits, seed):
    rows, logits, *theta = _grid(dtype, np.zeros(50), logits, _theta(case, data))

    def draw(logits, *theta):
        return case.distribution(logits, theta, dtype).sample(seed=seed)

    zeta, (by_logits, *by_theta) = extremes.value_and_gradients(draw, logits, *theta)
    low, high = case.oracle.support
    for number in (zeta, by_logits, *by_theta):
        assert np.isfinite(number).all()
    assert np.all((zeta >= low) & (zeta <= high))
    # Larger odds never decrease a sample, up to rounding of R(zeta | 0) - R(zeta | 1) divided by q(zeta).
    log_prob = _method(case, dtype, "log_prob")(zeta, logits, *theta).numpy().astype(np.float64)
    log_rounding = (
        np.log(4 * np.finfo(zeta.dtype).eps) + special.log_expit(logits) + special.log_expit(-logits)
    )
    assert np.all(by_logits >= -np.exp(log_rounding - log_prob))
    # The density of the samples and its gradients are finite.
    assert_finite(_method(case, dtype, "log_prob"), zeta, logits, *theta)


@each_case
@each_dtype
@property_test(few=1, many=30, data=st.data(), logits=extremes.logits())
def test_quantiles(case, dtype, data, logits):
    rho, logits, *theta = _grid(dtype, LEVELS, logits, _theta(case, data))
    zeta = assert_finite(_method(case, dtype, "quantile"), rho, logits, *theta)
    low, high = case.oracle.support
    assert np.all((zeta >= low) & (zeta <= high))
    assert np.all(np.diff(zeta, axis=0) >= -1e-5 * (1 + np.abs(zeta[1:])))
    # The CDF recovers the level, unless zeta is at an edge or neighboring floats are levels apart.
    q = case.distribution(logits, theta, dtype)
    spacing = np.spacing(np.abs(zeta) + np.finfo(zeta.dtype).tiny)
    below, above = q.cdf(zeta - 8 * spacing).numpy(), q.cdf(zeta + 8 * spacing).numpy()
    slack = 1e-4 if dtype == tf.float32 else 1e-9
    limits = np.finfo(zeta.dtype)
    at_0, at_1 = (zeta < 8 * limits.tiny, zeta > 1 - 8 * limits.eps) if _is_unit(case) else (False, False)
    wrong = ((below > rho + slack) & ~(case.has_atom & (zeta == 0)) & np.logical_not(at_1)) | (
        (above < rho - slack) & np.logical_not(at_0)
    )
    assert not wrong.any(), [each[wrong] for each in (zeta, rho, logits, *theta, below, above)]


@pytest.mark.parametrize("case", [case for case in CASES if not _is_unit(case)], ids=lambda case: case.name)
@each_dtype
def test_ends_of_the_real_line(case, dtype):
    """The log density at the largest numbers is finite or -inf: never NaN, never +inf."""
    largest = np.finfo(dtype.as_numpy_dtype).max
    far = np.array([-largest, -largest / 4, -(largest**0.5), largest**0.5, largest / 4, largest])
    for theta in (*case.thetas, case.sharp, *case.extremes):
        zeta, logits, *theta = _grid(dtype, far, extremes.LOGITS, theta)
        q = case.distribution(logits, theta, dtype)
        assert np.all(q.log_prob(zeta) < -1e15)
        assert np.isfinite(q.log_density_ratio(zeta)).all()
        np.testing.assert_allclose(q.cdf(zeta), zeta > 0, atol=1e-6)


# --------------------------------------------------------------------------- NaN

METHODS = ("log_prob", "cdf", "quantile", "log_density_ratio")


def _methods(case):
    return METHODS if case in MIXTURES else METHODS[:-1]


@each_case
@extremes.each_compilation
def test_nan_in_nan_out(case, jit_compile):
    nan, logits = np.float32("nan"), np.array([-1e6, -1.0, 0.0, 1.0, 1e6], np.float32)
    theta = tuple(np.float32(each) for each in case.sharp)
    spoiled = [(*theta[:i], nan, *theta[i + 1 :]) for i in range(len(theta))]

    @tf.function(jit_compile=jit_compile)
    def evaluate(zeta, logits, *theta):
        q = case.distribution(logits, theta, tf.float32)
        # A root search takes long to compile.
        names = [name for name in _methods(case) if name != "quantile" or not jit_compile]
        return {name: getattr(q, name)(zeta) for name in names} | {"sample": q.sample(20, seed=(0, 1))}

    inputs = [(nan, logits, *theta), (np.float32(0.3), np.full(5, nan), *theta)]
    inputs += [(np.float32(0.3), logits, *each) for each in spoiled]
    for position, each in enumerate(inputs):
        for name, value in evaluate(*map(tf.constant, each)).items():
            free_of_it = (position, name) in ((0, "sample"), (1, "log_density_ratio"))
            assert free_of_it or np.isnan(value).all(), (name, position)


@each_case
def test_one_nan_spoils_its_own_unit_only(case):
    logits = np.array([0.3, np.nan, -2.0])
    q = case.distribution(logits, case.sharp)
    for value in (q.sample(20, seed=(0, 1)), q.quantile(0.3), q.log_prob(0.25), q.cdf(0.25)):
        np.testing.assert_array_equal(np.isnan(value), np.broadcast_to(np.isnan(logits), value.shape))


@each_case
def test_validate_args_refuses_nan_everywhere(case):
    logits, theta = np.array([-1.0, 0.5]), case.sharp
    checked = case.distribution(logits, theta, validate_args=True)
    for name in _methods(case):
        with pytest.raises(tf.errors.InvalidArgumentError, match="value" if name == "quantile" else "zeta"):
            getattr(checked, name)(np.float64("nan"))
    names = {"logits": (np.array([0.5, np.nan]), theta)}
    for i in range(len(theta)):
        nan = (*theta[:i], np.nan, *theta[i + 1 :])
        names["temperature" if case.layer is Concrete else f"theta{i}"] = (logits, nan)
    for name, parameters in names.items():
        q = case.distribution(*parameters, validate_args=True)
        for method in (
            lambda q: q.sample(seed=(0, 1)),
            *(lambda q, n=n: getattr(q, n)(0.5) for n in _methods(case)),
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match=name.rstrip("01")):
                method(q)


@each_case
def test_quantile_is_of_levels(case):
    beyond = tf.constant([-0.1, 1.1, np.inf, -np.inf], tf.float64)
    found = tf.function(lambda rho: case.distribution([0.3], case.sharp).quantile(rho))(beyond)
    assert np.isnan(found).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="value"):
        case.distribution([0.3], case.sharp, validate_args=True).quantile(1.1)


@each_case
def test_layer_offers_the_checks(case):
    layer = case.make(validate_args=True)
    assert type(layer).from_config(layer.get_config()).validate_args
    assert not case.make().validate_args
    with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
        layer(tf.zeros([2])).log_prob(np.nan)
    with pytest.raises(tf.errors.InvalidArgumentError, match="logits"):
        tf.function(lambda logits: layer(logits).sample(seed=(0, 1)))(tf.constant([np.nan, 0.0]))
    assert np.isfinite(layer(tf.zeros([2])).sample(seed=(0, 1))).all()


# --------------------------------------------------------------------------- shapes, compiled


@each_case
@property_test(few=5, many=20, shape=extremes.batch_shapes)
def test_empty_and_singleton_batches(case, shape):
    logits = np.zeros(shape, np.float32)
    for name in (*_methods(case), "sample"):

        def evaluate(logits, name=name):
            q = case.distribution(logits, case.sharp, tf.float32)
            return q.sample(seed=(0, 1)) if name == "sample" else getattr(q, name)(tf.fill(shape, 0.25))

        if case.has_atom and name == "log_density_ratio":
            assert evaluate(logits).shape == shape
        else:
            assert assert_finite(evaluate, logits).shape == shape
    assert case.distribution(logits, case.sharp, tf.float32).sample(0, seed=(0, 1)).shape == (0, *shape)


@pytest.mark.parametrize(
    "case",
    [
        # Each takes seconds.
        pytest.param(case, id=case.name, marks=[] if case.layer in (Power, Concrete) else pytest.mark.slow)
        for case in CASES
    ],
)
def test_compiled_at_the_ends(case):
    """XLA agrees with eager TensorFlow, and its gradients are finite."""
    theta = case.extremes[-1]
    zeta = _zetas(case, tf.float32, np.linspace(0.1, 0.9, extremes.NUM_DRAWN))
    arguments = [tf.constant(each) for each in _grid(tf.float32, zeta, extremes.LOGITS, theta)]

    def evaluate(zeta, logits, *theta):
        with tf.GradientTape() as tape:
            tape.watch((zeta, logits, theta))
            q = case.distribution(logits, theta, tf.float32)
            values = q.log_prob(zeta), q.cdf(zeta), q.sample(seed=(0, 1))
        gradients = tape.gradient(values, (zeta, logits, *theta))
        return values[:2], gradients

    found, gradients = tf.function(evaluate, jit_compile=True)(*arguments)
    expected, _ = evaluate(*arguments)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for each in gradients:
        assert np.isfinite(each).all()


def test_the_search_is_not_blind():
    """The checks above detect a density without its floor."""
    case = next(case for case in smoothing_cases.CASES if case.layer is Power)
    naive = lambda zeta, beta: (1 / beta - 1) * tf.math.log(zeta) - tf.math.log(beta)  # noqa: E731
    zeta, _, beta = _grid(tf.float32, extremes.unit_zetas(np.float32, []), [0.0], case.sharp)
    with pytest.raises(AssertionError):
        assert_finite(naive, zeta, beta)
