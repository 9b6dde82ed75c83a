"""Parameters of priors as tfp treats them: variables stay variables, and batches where there are any."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from dvae_tf import smoothing
from dvae_tf.priors import (
    BoltzmannMachine,
    DirectedBernoulli,
    GaussianIntegralRelaxation,
    GumBolt,
    OverlappingRelaxation,
)
from support import reference

tfd = tfp.distributions

MACHINE = reference.random_machine(2, 3, seed=8)
Z = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
ZETA = np.array([0.9, 0.2, 0.6, 0.7, 0.1])


def _variables():
    return [tf.Variable(each) for each in MACHINE]


def test_variables_of_a_machine_stay_variables():
    variables = _variables()
    bm = BoltzmannMachine(*variables)
    assert {each.ref() for each in bm.trainable_variables} == {each.ref() for each in variables}
    with tf.GradientTape() as tape:
        log_prob = bm.log_prob(Z)
    # Bits minus their means, and the same for their products.
    means = reference.moments(MACHINE)
    expected = Z[:2] - means[0], Z[2:] - means[1], np.outer(Z[:2], Z[2:]) - means[2]
    for found, other in zip(tape.gradient(log_prob, variables), expected, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-9, atol=1e-12)


def test_later_values_of_a_machine_are_seen():
    variables = _variables()
    bm = BoltzmannMachine(*variables)
    compiled = tf.function(bm.log_prob)
    before = compiled(Z)
    other = reference.random_machine(2, 3, seed=9)
    for variable, value in zip(variables, other, strict=True):
        variable.assign(value)
    expected = -reference.energy(other, Z) - reference.log_partition(other)
    assert abs(before - expected) > 0.1
    for log_prob in (compiled(Z), bm.log_prob(Z)):
        np.testing.assert_allclose(log_prob, expected, rtol=1e-12)
    np.testing.assert_array_equal(bm.sample(5, seed=(0, 1)), BoltzmannMachine(*other).sample(5, seed=(0, 1)))


RELAXATIONS = {
    "gumbolt": lambda bm, beta: GumBolt(bm),
    "overlapping": lambda bm, beta: OverlappingRelaxation(bm, smoothing.Exponential(3.0)),
    "gaussian integral": GaussianIntegralRelaxation,
}


@pytest.mark.parametrize("name", RELAXATIONS)
def test_variables_of_a_relaxation_stay_variables(name):
    """The gradient of a log Z that is given is -1, and its later values are seen."""
    values = [*MACHINE, np.float64(1.5), np.float64(20.0)]
    variables = [tf.Variable(each) for each in values]

    def relaxation(values):
        return RELAXATIONS[name](BoltzmannMachine(*values[:4]), values[4])

    p = relaxation(variables)
    used = variables if name == "gaussian integral" else variables[:4]
    assert {each.ref() for each in p.trainable_variables} == {each.ref() for each in used}
    with tf.GradientTape() as tape:
        log_prob = p.log_prob(ZETA)
    *found, of_log_z, of_beta = tape.gradient(log_prob, variables)
    assert of_log_z == -1.0
    for index, gradient in enumerate(found):

        def moved(value, index=index):
            return relaxation([value if each == index else values[each] for each in range(5)]).log_prob(ZETA)

        # m is fitted to the parameters but held fixed by the gradient; at its optimum that is the same.
        tolerance = 2e-2 if name == "overlapping" else 1e-7
        np.testing.assert_allclose(
            gradient, reference.finite_difference(moved, values[index]), rtol=tolerance, atol=tolerance
        )
    if name == "gaussian integral":
        expected = reference.finite_difference(
            lambda beta: relaxation([*values[:4], beta]).log_prob(ZETA), 20.0
        )
        np.testing.assert_allclose(of_beta, expected, rtol=1e-7)
    variables[3].assign(2.75)
    np.testing.assert_allclose(p.log_prob(ZETA), log_prob - 1.25, rtol=1e-12)


def test_gaussian_integral_follows_a_variable_beta_and_norm():
    beta, norm = tf.Variable(9.0), tf.Variable(1.0)
    p = GaussianIntegralRelaxation(BoltzmannMachine(*MACHINE.cast(np.float32)), beta, norm)
    assert p.sharpness == 9.0
    beta.assign(8.0)
    assert p.sharpness == 8.0
    norm.assign(4.0)
    assert p.sharpness == 9.0


def test_a_large_machine_has_variables_without_its_log_z():
    """tfp looks at all parameters for variables, and into functions."""
    bias = tf.Variable(tf.zeros([21]))
    bm = BoltzmannMachine(bias, tf.zeros([21]), tf.zeros([21, 21]))
    for p in (bm, GumBolt(bm), tfd.Sample(bm, 2)):
        assert [each.ref() for each in p.trainable_variables] == [bias.ref()]
    energy = tf.function(lambda bm, z: bm.energy(z))
    np.testing.assert_array_equal(energy(bm, tf.ones([42])), 0.0)
    with pytest.raises(ValueError, match="log_partition: expected a number for 21 \\+ 21 units, got None"):
        bm.log_prob(tf.zeros([42]))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_machines_in_half_precision_are_computed_in_float32(dtype):
    half = [tf.Variable(each, dtype=dtype) for each in MACHINE]
    bm = BoltzmannMachine(*half)
    single = BoltzmannMachine(*(tf.cast(each, tf.float32) for each in half))
    assert bm.dtype == tf.float32
    np.testing.assert_array_equal(bm.log_prob(Z.astype("f")), single.log_prob(Z.astype("f")))
    assert len(bm.trainable_variables) == 3


# --------------------------------------------------------------------------- batches


def test_a_machine_is_one():
    with pytest.raises(ValueError, match=r"log_partition: expected a scalar, got shape \(2,\)"):
        BoltzmannMachine(*MACHINE, log_partition=[1.0, 2.0])
    bm = BoltzmannMachine(*MACHINE)
    with pytest.raises(ValueError, match=r"beta: expected a scalar, got shape \(2,\)"):
        GaussianIntegralRelaxation(bm, [8.0, 9.0])
    with pytest.raises(ValueError, match=r"weights: expected a static shape \[L, R\], got \(1, 2, 3\)"):
        bm[tf.newaxis]


@pytest.mark.parametrize("name", ["machine", *RELAXATIONS])
def test_meta_distributions_and_copies(name):
    p = BoltzmannMachine(*MACHINE)
    if name != "machine":
        p = RELAXATIONS[name](p, 8.0)
    log_prob = p.log_prob(ZETA)
    assert (p.batch_shape, p.event_shape) == ((), (5,))
    for same in (p.copy(), p[...], p.copy(name="again")):
        np.testing.assert_array_equal(same.log_prob(ZETA), log_prob)
    several, repeated = tfd.Sample(p, 7), tfd.BatchBroadcast(p, [4])
    assert several.sample(2, seed=(0, 1)).shape == (2, 7, 5)
    np.testing.assert_allclose(several.log_prob(np.tile(ZETA, (7, 1))), 7 * log_prob, rtol=1e-12)
    assert repeated.sample(2, seed=(0, 1)).shape == (2, 4, 5)
    np.testing.assert_allclose(repeated.log_prob(ZETA), np.full(4, log_prob), rtol=1e-12)


def _directed(first, relaxation=None):
    """Two groups of 3 units."""
    dense = keras.layers.Dense(3, dtype="float64")
    dense.build((None, 3))
    dense.set_weights([np.arange(9.0).reshape(3, 3) / 5 - 0.7, np.array([0.1, -0.2, 0.3])])
    return DirectedBernoulli(first, [dense], relaxation)


def test_directed_prior_of_a_variable():
    first = tf.Variable([0.5, -1.0, 2.0], dtype=tf.float64)
    p = _directed(first)
    assert [each.ref() for each in p.trainable_variables] == [first.ref()]
    code = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    with tf.GradientTape() as tape:
        before = p.log_prob(code)
    probs = 1 / (1 + np.exp(-first.numpy()))
    np.testing.assert_allclose(tape.gradient(before, first), code[:3] - probs, rtol=1e-9)
    first.assign([0.0, 0.0, 0.0])
    change = np.log(probs[0] * (1 - probs[1]) * probs[2]) - 3 * np.log(0.5)
    np.testing.assert_allclose(p.log_prob(code), before - change, rtol=1e-9)


@pytest.mark.parametrize("relaxation", [None, smoothing.Concrete(0.5)], ids=["bits", "zeta"])
def test_directed_prior_of_a_batch(relaxation):
    """Each of the batch is a prior of its own."""
    first = np.random.default_rng(0).normal(size=(4, 3))
    batch, code = _directed(first, relaxation), np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    code = code if relaxation is None else 0.2 + 0.5 * code
    expected = [_directed(each, relaxation).log_prob(code) for each in first]
    assert (batch.batch_shape, batch.event_shape) == ((4,), (6,))
    np.testing.assert_allclose(batch.log_prob(code), expected, rtol=1e-9)
    np.testing.assert_allclose(batch.log_prob(np.tile(code, (2, 4, 1))), [expected] * 2, rtol=1e-9)
    assert batch.sample(2, seed=(0, 1)).shape == (2, 4, 6)
    np.testing.assert_allclose(batch[2].log_prob(code), expected[2], rtol=1e-9)
    assert batch[1:3, tf.newaxis].sample(seed=(0, 1)).shape == (2, 1, 6)


def test_draws_of_a_batch_of_directed_priors():
    first = np.array([[3.0, -3.0, 0.0], [-3.0, 0.0, 3.0]])
    draws = _directed(first).sample(4000, seed=(5, 1)).numpy()[..., :3]
    assert np.abs(reference.z_scores(draws, 1 / (1 + np.exp(-first)))).max() < 4
