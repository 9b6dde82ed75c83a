"""Every prior at the ends of its range: weights up to 1e3, beta from 1e-2 to 1e3, zeta at its edges."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import strategies as st

from dvae_tf import priors, smoothing
from dvae_tf.priors import (
    BoltzmannMachine,
    DirectedBernoulli,
    GaussianIntegralRelaxation,
    GumBolt,
    OverlappingRelaxation,
)
from support import extremes, reference, smoothing_cases
from support.extremes import assert_finite, property_test
from support.smoothing_cases import each_dtype, parametrize

tfd = tfp.distributions

OVERLAPPING = [
    case
    for case in smoothing_cases.SYMMETRIC
    if case.layer not in (smoothing.Concrete, smoothing.ShiftedGaussian)
]
each_overlapping = parametrize(OVERLAPPING)
NUM_LEFT, NUM_RIGHT = 2, 3
NUM_UNITS = NUM_LEFT + NUM_RIGHT
PARAMETERS = ("left_bias", "right_bias", "weights")


@st.composite
def machines(draw):
    """Biases and weights up to 1e3 in size: all alike, of random signs, or of all sizes."""
    scale = draw(extremes.log_uniform(1e-3, 1e3))
    kind = draw(st.sampled_from(["positive", "negative", "signs", "uniform", "zero"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    make = {
        "positive": np.ones,
        "negative": lambda size: -np.ones(size),
        "signs": lambda size: rng.choice([-1.0, 1.0], size),
        "uniform": lambda size: rng.uniform(-1, 1, size),
        "zero": np.zeros,
    }[kind]
    return reference.Machine(*(scale * make(size) for size in (NUM_LEFT, NUM_RIGHT, (NUM_LEFT, NUM_RIGHT))))


def _codes(zetas):
    """Rows of D: each number in all units, together with its neighbor, and with the vertices."""
    rows = [np.full(NUM_UNITS, zeta) for zeta in zetas]
    rows += [np.resize(zetas[i : i + 2], NUM_UNITS) for i in range(len(zetas) - 1)]
    return np.stack(rows)


def _arrays(machine, dtype):
    """The machine in a dtype, and the same rounded numbers in float64."""
    arrays = machine.cast(dtype.as_numpy_dtype)
    return arrays, reference.Machine(*(np.asarray(each, np.float64) for each in arrays))


def _rounding(machine, dtype):
    """Rounding error of sums of numbers as large as the energies."""
    size = 1 + sum(np.abs(each).sum() for each in machine)
    return 64 * np.finfo(dtype.as_numpy_dtype).eps * size


# --------------------------------------------------------------------------- finite and right


@each_dtype
@property_test(few=6, many=100, machine=machines())
def test_machine(dtype, machine):
    arrays, machine = _arrays(machine, dtype)
    z = reference.binary_states(NUM_UNITS).astype(dtype.as_numpy_dtype)
    log_prob = assert_finite(lambda z, *machine: BoltzmannMachine(*machine).log_prob(z), z, *arrays)
    rounding = _rounding(machine, dtype)
    assert np.all(log_prob <= rounding)
    np.testing.assert_allclose(log_prob, reference.joint_log_probs(machine)[0].ravel(), atol=rounding)
    samples = BoltzmannMachine(*arrays).sample(50, seed=(0, 1)).numpy()
    assert set(np.unique(samples)) <= {0.0, 1.0}
    # No sample has probability 0.
    assert BoltzmannMachine(*arrays).log_prob(samples).numpy().min() > -30 - rounding


@each_dtype
@property_test(few=6, many=100, machine=machines(), logits=extremes.logits())
def test_kl_of_bits(dtype, machine, logits):
    arrays, machine = _arrays(machine, dtype)
    logits = _codes(logits).astype(dtype.as_numpy_dtype)

    def divergence(logits, *machine):
        bits = tfd.Independent(tfd.Bernoulli(logits=logits), 1)
        return tfd.kl_divergence(bits, BoltzmannMachine(*machine))

    found = assert_finite(divergence, logits, *arrays)
    assert np.all(found >= -_rounding(machine, dtype))
    joint, states = reference.joint_log_probs(machine)[0].ravel(), reference.binary_states(NUM_UNITS)
    signed = np.where(states, -1.0, 1.0) * logits[:, np.newaxis].astype(np.float64)
    log_q = -np.logaddexp(0, signed).sum(-1)
    expected = (np.exp(log_q) * (log_q - joint)).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=_rounding(machine, dtype))


@each_dtype
@property_test(few=6, many=100, machine=machines(), drawn=extremes.units)
def test_gumbolt(dtype, machine, drawn):
    arrays, machine = _arrays(machine, dtype)
    zeta = _codes(extremes.unit_zetas(dtype.as_numpy_dtype, drawn))
    found = assert_finite(
        lambda zeta, *machine: GumBolt(BoltzmannMachine(*machine)).log_prob(zeta), zeta, *arrays
    )
    # Theorem 1: the value lies between those of the least and of the most probable bits.
    vertices = reference.joint_log_probs(machine)[0]
    rounding = _rounding(machine, dtype)
    assert np.all((found >= vertices.min() - rounding) & (found <= vertices.max() + rounding))
    expected = -reference.energy(machine, zeta.astype(np.float64)) - reference.log_partition(machine)
    np.testing.assert_allclose(found, expected, atol=rounding)


@each_overlapping
@each_dtype
@property_test(data=st.data(), machine=machines(), drawn=extremes.units)
def test_overlapping(case, dtype, data, machine, drawn):
    arrays, machine = _arrays(machine, dtype)
    smallest = case.layer.smallest_beta
    # 1 + 1e-6 rounds to 1 in float32, which the constructor refuses: the density of beta = 1 is flat.
    layer = case.layer(beta=max(data.draw(extremes.betas(smallest)), smallest + 1e-3 * smallest))
    make = extremes.unit_zetas if layer.support == (0.0, 1.0) else extremes.real_zetas
    zeta = _codes(make(dtype.as_numpy_dtype, drawn))

    def log_prob(zeta, *machine):
        return OverlappingRelaxation(BoltzmannMachine(*machine), layer).log_prob(zeta)

    found = assert_finite(log_prob, zeta, *arrays)
    # A lower bound of log p(zeta), itself below the density given the most probable bits.
    inside = np.array(zeta, np.float64)
    if layer.support == (0.0, 1.0):
        limits = np.finfo(zeta.dtype)
        inside = np.clip(inside, 4 * limits.tiny, 1 - limits.epsneg)
    oracle = case.oracle(float(dtype.as_numpy_dtype(layer.beta)))
    with np.errstate(all="ignore"):
        expected = reference.relaxed_log_prob(machine, oracle, inside)
    known = np.isfinite(expected)
    assert known.mean() > 0.2
    slack = _rounding(machine, dtype) + 1e-5 * np.abs(expected) + 1e-3
    assert np.all(found[known] <= (expected + slack)[known])
    samples = OverlappingRelaxation(BoltzmannMachine(*arrays), layer).sample(20, seed=(0, 1)).numpy()
    assert np.isfinite(samples).all()
    assert np.all((samples >= layer.support[0]) & (samples <= layer.support[1]))


@each_dtype
@property_test(few=6, many=100, machine=machines(), beta=extremes.betas(), drawn=extremes.units)
def test_gaussian_integral(dtype, machine, beta, drawn):
    arrays, machine = _arrays(machine, dtype)
    zeta = _codes(extremes.real_zetas(dtype.as_numpy_dtype, drawn))
    beta_in_use = float(GaussianIntegralRelaxation(BoltzmannMachine(*arrays), beta).sharpness)
    found = assert_finite(
        lambda zeta, *machine: GaussianIntegralRelaxation(BoltzmannMachine(*machine), beta).log_prob(zeta),
        zeta,
        *arrays,
    )
    # log sum_z p(z) N(zeta; z, A^-1), by enumeration.
    precision = reference.symmetric_couplings(machine) + beta_in_use * np.eye(NUM_UNITS)
    sign, log_determinant = np.linalg.slogdet(precision / (2 * np.pi))
    assert sign == 1
    gaps = zeta.astype(np.float64)[:, np.newaxis] - reference.binary_states(NUM_UNITS)
    quadratic = np.einsum("nsi,ij,nsj->ns", gaps, precision, gaps)
    terms = reference.joint_log_probs(machine)[0].ravel() - 0.5 * quadratic + 0.5 * log_determinant
    expected = np.logaddexp.reduce(terms, -1)
    size = 1 + np.abs(zeta.astype(np.float64)).max(-1)
    rounding = _rounding(machine, dtype) + 64 * np.finfo(zeta.dtype).eps * NUM_UNITS * beta_in_use * size**2
    assert np.all(np.abs(found - expected) <= rounding)
    samples = GaussianIntegralRelaxation(BoltzmannMachine(*arrays), beta).sample(20, seed=(0, 1)).numpy()
    assert np.isfinite(samples).all()


@each_dtype
def test_gaussian_integral_at_the_ends_of_the_line(dtype):
    machine = BoltzmannMachine(*(np.full(s, 1e3, dtype.as_numpy_dtype) for s in (2, 3, (2, 3))))
    largest = np.finfo(dtype.as_numpy_dtype).max
    far = np.array([[-largest, largest, 0, 0, 0], [largest**0.5] * 5, [largest / 4, 1, 1, -largest, 0]])
    assert np.all(
        GaussianIntegralRelaxation(machine, 10.0).log_prob(far.astype(dtype.as_numpy_dtype)) == -np.inf
    )


@each_dtype
@property_test(few=4, many=60, first=extremes.logits(), data=st.data())
def test_directed(dtype, first, data):
    first = first.astype(dtype.as_numpy_dtype)
    bits = np.stack([np.zeros(first.size), np.ones(first.size), first > 0]).astype(first.dtype)
    found = assert_finite(lambda first: DirectedBernoulli(first).log_prob(bits), first)
    signed = np.where(bits, -1.0, 1.0) * first.astype(np.float64)
    np.testing.assert_allclose(found, -np.logaddexp(0, signed).sum(-1), rtol=1e-5)
    relaxed = DirectedBernoulli(
        first, relaxation=smoothing.Concrete(data.draw(extremes.log_uniform(1e-2, 10.0)))
    )
    zeta = relaxed.sample(20, seed=(0, 1)).numpy()
    assert np.all((zeta >= 0) & (zeta <= 1))
    assert np.isfinite(relaxed.log_prob(zeta)).all()


# --------------------------------------------------------------------------- out of range, NaN, empty


def _machine(**changes):
    machine = reference.random_machine(NUM_LEFT, NUM_RIGHT, seed=3).cast(np.float32)
    return machine._asdict() | {"log_partition": np.float32(3.0)} | changes


PRIORS = {
    "machine": lambda checked, **machine: BoltzmannMachine(**machine, validate_args=checked),
    "power": lambda checked, **machine: OverlappingRelaxation(
        BoltzmannMachine(**machine), smoothing.Power(30.0), validate_args=checked
    ),
    "gaussian": lambda checked, **machine: OverlappingRelaxation(
        BoltzmannMachine(**machine), smoothing.Gaussian(30.0), validate_args=checked
    ),
    "integral": lambda checked, **machine: GaussianIntegralRelaxation(
        BoltzmannMachine(**machine), 30.0, 2.0, validate_args=checked
    ),
    "gumbolt": lambda checked, **machine: GumBolt(BoltzmannMachine(**machine), validate_args=checked),
}
each_prior = pytest.mark.parametrize("name", PRIORS)


@each_prior
@extremes.each_compilation
def test_nan_in_nan_out(name, jit_compile):
    @tf.function(jit_compile=jit_compile)
    def both(zeta, *machine):
        names = ("left_bias", "right_bias", "weights", "log_partition")
        prior = PRIORS[name](False, **dict(zip(names, machine, strict=True)))
        return prior.log_prob(zeta), prior.sample(4, seed=(0, 1))

    good = [np.array([0.0, 1.0, 1.0, 0.0, 1.0], np.float32), *_machine().values()]
    for position in range(len(good)):
        spoiled = [np.array(each) for each in good]
        spoiled[position].ravel()[-1] = np.nan
        log_prob, samples = both(*map(tf.constant, spoiled))
        assert np.isnan(log_prob)
        # Samples do not depend on zeta and log Z.
        assert np.isnan(samples).any(-1).all() == (position in (1, 2, 3))


@each_prior
def test_validate_args_refuses_nan_everywhere(name):
    good = np.array([0.0, 1.0, 1.0, 0.0, 1.0], np.float32)
    assert np.isfinite(PRIORS[name](True, **_machine()).log_prob(good))
    with pytest.raises(tf.errors.InvalidArgumentError, match="z"):
        PRIORS[name](True, **_machine()).log_prob(np.where(good > 0, good, np.float32("nan")))
    for parameter in (*PARAMETERS, "log_partition"):
        spoiled = np.array(_machine()[parameter])
        spoiled.ravel()[0] = np.nan
        prior = PRIORS[name](True, **_machine(**{parameter: spoiled}))
        for method in (lambda prior: prior.log_prob(good), lambda prior: prior.sample(seed=(0, 1))):
            with pytest.raises(tf.errors.InvalidArgumentError, match=parameter):
                method(prior)


def test_validate_args_refuses_a_sharpness_of_nan():
    machine = BoltzmannMachine(**_machine())
    with pytest.raises(tf.errors.InvalidArgumentError, match="beta"):
        GaussianIntegralRelaxation(machine, np.nan, 2.0, validate_args=True).log_prob(np.zeros(5, np.float32))
    assert np.isnan(GaussianIntegralRelaxation(machine, np.nan, 2.0).log_prob(np.zeros(5, np.float32)))
    layer = smoothing.Power(30.0, trainable_beta=True)
    layer.log_excess.assign(np.nan)
    zeta = np.full(5, 0.5, np.float32)
    assert np.isnan(OverlappingRelaxation(machine, layer).log_prob(zeta))
    assert np.isnan(OverlappingRelaxation(machine, layer).sample(3, seed=(0, 1))).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="theta"):
        OverlappingRelaxation(machine, layer, validate_args=True).log_prob(zeta)


@pytest.mark.parametrize("relaxation", [None, smoothing.Concrete(0.5), smoothing.Exponential(5.0)])
def test_directed_and_nan(relaxation):
    good, nan = tf.zeros([3]), tf.constant([0.0, np.nan, 0.0])
    later = lambda before: before + nan  # noqa: E731
    bits = np.array([0, 1, 1, 0, 1, 0], np.float32)
    for first, conditionals in ((nan, [tf.identity]), (good, [later])):
        prior = DirectedBernoulli(first, conditionals, relaxation)
        assert np.isnan(prior.log_prob(bits))
        assert np.isnan(prior.sample(4, seed=(0, 1))).any(-1).all()
        checked = DirectedBernoulli(first, conditionals, relaxation, validate_args=True)
        with pytest.raises(tf.errors.InvalidArgumentError, match="logits"):
            checked.log_prob(bits)
    checked = DirectedBernoulli(good, [tf.identity], relaxation, validate_args=True)
    assert np.isfinite(checked.log_prob(bits))
    for wrong in (np.nan, 1.5):
        with pytest.raises(tf.errors.InvalidArgumentError, match="z"):
            checked.log_prob(np.array([0, 1, 1, 0, wrong, 0], np.float32))


@each_prior
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 0), (1, 1)])
def test_empty_and_singleton_batches(name, shape):
    zeta = np.ones((*shape, NUM_UNITS), np.float32)
    log_prob = assert_finite(
        lambda zeta, *machine: PRIORS[name](
            False, **dict(zip(PARAMETERS, machine, strict=True)), log_partition=3.0
        ).log_prob(zeta),
        zeta,
        *(_machine()[each] for each in PARAMETERS),
    )
    assert log_prob.shape == shape
    assert PRIORS[name](False, **_machine()).sample(shape, seed=(0, 1)).shape == zeta.shape


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda **kwargs: priors.BoltzmannPrior(2, 3, **kwargs), "z"),
        (lambda **kwargs: priors.BoltzmannPrior(2, 3, smoothing=smoothing.Power(30.0), **kwargs), "zeta"),
        (lambda **kwargs: priors.GaussianIntegralPrior(2, 3, beta=10.0, **kwargs), "zeta"),
        (lambda **kwargs: priors.GumBoltPrior(2, 3, **kwargs), "zeta"),
        (lambda **kwargs: priors.DirectedPrior(5, **kwargs), "z"),
    ],
)
def test_layer_offers_the_checks(make, match):
    layer = make(validate_args=True)
    assert type(layer).from_config(layer.get_config()).validate_args
    assert not make().validate_args
    for prior in (layer(), layer.binary()):
        assert np.isfinite(prior.log_prob(np.ones(5, np.float32)))
        with pytest.raises(tf.errors.InvalidArgumentError, match=match[0]):
            prior.log_prob(np.array([0, 1, np.nan, 0, 1], np.float32))
    for variable in layer.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    for prior in (layer(), layer.binary()):
        with pytest.raises(tf.errors.InvalidArgumentError, match="left_bias|logits"):
            prior.log_prob(np.ones(5, np.float32))
