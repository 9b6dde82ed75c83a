"""Tests of the trainable Boltzmann prior: its variables, its chains, and that it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import smoothing
from dvae_tf.priors import BoltzmannMachine, BoltzmannPrior, OverlappingRelaxation
from dvae_tf.samplers import PersistentGibbs
from support import reference

SAMPLER = PersistentGibbs(num_chains=20, num_sweeps=2)


def _prior(num_left=3, num_right=4, **kwargs):
    return BoltzmannPrior(num_left, num_right, **({"sampler": SAMPLER} | kwargs))


def _values(prior):
    return [np.array(variable) for variable in prior.variables]


def _machine(prior):
    return reference.Machine(*(np.array(each, np.float64) for each in prior.rbm))


# --------------------------------------------------------------------------- variables


def test_three_trainable_variables():
    prior = _prior()
    assert len(prior.trainable_variables) == 3
    shapes = [tuple(each.shape) for each in prior.trainable_variables]
    assert sorted(shapes) == [(3,), (3, 4), (4,)]
    assert len(prior.losses) == 0


def test_start_is_nearly_fair_bits():
    prior = _prior(30, 40)
    machine = _machine(prior)
    np.testing.assert_array_equal(machine.left_bias, np.zeros(30))
    np.testing.assert_array_equal(machine.right_bias, np.zeros(40))
    # N(0, 0.01^2): 1200 entries determine the standard deviation to 2 %.
    assert 0.009 < machine.weights.std() < 0.011
    assert abs(machine.weights.mean()) < 4 * 0.01 / np.sqrt(1200)
    np.testing.assert_allclose(prior.log_partition, 70 * np.log(2), rtol=1e-6)
    left, right = prior.state()
    assert left.shape == (20, 30)
    assert right.shape == (20, 40)
    assert set(np.unique(left)) | set(np.unique(right)) == {0.0, 1.0}


def test_without_couplings():
    prior = _prior(couplings=False)
    assert len(prior.trainable_variables) == 2
    np.testing.assert_array_equal(prior.rbm.weights, np.zeros((3, 4)))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior(training=True).log_prob(tf.ones([2, 7])))
        gradients = tape.gradient(loss, prior.trainable_variables)
        optimizer.apply_gradients(zip(gradients, prior.trainable_variables, strict=True))
    np.testing.assert_array_equal(prior.rbm.weights, np.zeros((3, 4)))
    assert np.all(prior.rbm.left_bias.numpy() > 0)
    assert np.all(prior.rbm.right_bias.numpy() > 0)


def test_weights_regularizer_sees_the_couplings_alone():
    prior = _prior(weights_regularizer=keras.regularizers.L2(0.5))
    (loss,) = prior.losses
    np.testing.assert_allclose(loss, 0.5 * np.sum(_machine(prior).weights ** 2), rtol=1e-5)
    assert len(_prior(weights_regularizer="l2", couplings=False).losses) == 0


@pytest.mark.parametrize("name", ["num_left", "num_right"])
def test_empty_sides_are_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        BoltzmannPrior(**({"num_left": 3, "num_right": 3, "sampler": SAMPLER} | {name: 0}))


# --------------------------------------------------------------------------- distributions


def test_hands_out_the_machine_or_its_relaxation():
    machine = _prior()()
    assert isinstance(machine, BoltzmannMachine)
    assert machine.event_shape == (7,)
    layer = smoothing.Power(beta=30.0)
    relaxed = _prior(smoothing=layer, num_mean_field_iterations=3)()
    assert isinstance(relaxed, OverlappingRelaxation)
    assert relaxed.smoothing is layer
    assert relaxed.event_shape == (7,)


def test_log_prob_uses_the_stored_log_partition():
    prior = _prior()
    prior.right_bias.assign(np.linspace(-1, 1, 4))
    prior.log_partition.assign(2.5)
    z = reference.binary_states(7)
    expected = -reference.energy(_machine(prior), z) - 2.5
    np.testing.assert_allclose(prior().log_prob(z.astype(np.float32)), expected, rtol=1e-5)
    prior.log_partition.assign(reference.log_partition(_machine(prior)))
    total = np.exp(prior().log_prob(z.astype(np.float32))).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-5)


@pytest.mark.parametrize("relaxed", [False, True])
def test_gradient_is_the_positive_minus_the_negative_phase(relaxed):
    layer = smoothing.Power(beta=30.0) if relaxed else None
    prior = _prior(smoothing=layer)
    values = np.random.default_rng(0).integers(0, 2, (9, 7)).astype(np.float32)
    with tf.GradientTape() as tape:
        log_prob = tf.reduce_mean(prior(training=True).log_prob(values))
    variables = (prior.left_bias, prior.right_bias, prior.coupling_weights)
    gradients = tape.gradient(log_prob, variables)
    # At the vertices the mean field is the vertex, up to rounding.
    atol = 1e-4 if relaxed else 1e-6
    left, right = (side.numpy() for side in prior.state())
    expected = (
        values[:, :3].mean(0) - left.mean(0),
        values[:, 3:].mean(0) - right.mean(0),
        values[:, :3].T @ values[:, 3:] / 9 - left.T @ right / 20,
    )
    for gradient, moment in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, moment, atol=atol)


# --------------------------------------------------------------------------- chains


def test_advances_in_training_only():
    prior = _prior()
    before = _values(prior)
    prior()
    prior(training=False)
    for value, old in zip(_values(prior), before, strict=True):
        np.testing.assert_array_equal(value, old)
    chains = prior.state()
    prior(training=True)
    assert int(prior.num_updates) == 1
    assert np.any(prior.state().left != chains.left)
    assert np.any(prior.state().right != chains.right)
    prior(training=True)
    assert int(prior.num_updates) == 2


def test_successive_moves_draw_other_numbers():
    """Without couplings a sweep forgets the past: two steps agree only if they share a seed."""
    prior = _prior(couplings=False)
    prior.advance_chains()
    first = prior.state()
    prior.advance_chains()
    assert np.any(prior.state().left != first.left)
    assert np.any(prior.state().right != first.right)


def test_chains_follow_the_parameters():
    prior = _prior()
    prior.left_bias.assign([50.0] * 3)
    prior.right_bias.assign([-50.0] * 4)
    energy = prior.advance_chains()
    np.testing.assert_array_equal(prior.state().left, np.ones((20, 3)))
    np.testing.assert_array_equal(prior.state().right, np.zeros((20, 4)))
    np.testing.assert_allclose(energy, -150.0, rtol=1e-4)


def _run(prior, num_steps=5, jit_compile=False):
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(prior.trainable_variables)
    values = tf.constant(reference.binary_states(7)[::5], tf.float32)

    @tf.function(jit_compile=jit_compile)
    def update():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior(training=True).log_prob(values))
        gradients = tape.gradient(loss, prior.trainable_variables)
        optimizer.apply_gradients(zip(gradients, prior.trainable_variables, strict=True))

    for _ in range(num_steps):
        update()
    return _values(prior)


def test_same_seed_same_run():
    one, again, other = (_run(_prior(seed=seed)) for seed in (3, 3, 4))
    for value, repeated in zip(one, again, strict=True):
        np.testing.assert_array_equal(value, repeated)
    chains = [np.any(value != changed) for value, changed in zip(one, other, strict=True)]
    assert sum(chains) >= 5  # both biases, the couplings and both sides of the chains


@pytest.mark.parametrize("relaxed", [False, True])
def test_graph_and_xla_agree_with_eager(relaxed):
    layer = smoothing.Power(beta=30.0) if relaxed else None
    graph = _run(_prior(smoothing=layer, seed=5), 2)
    compiled = _run(_prior(smoothing=layer, seed=5), 2, jit_compile=True)
    eager = _prior(smoothing=layer, seed=5)
    eager.advance_chains()
    for value, other in zip(graph, compiled, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)
    first = _prior(smoothing=layer, seed=5)
    advance = tf.function(first.advance_chains, jit_compile=True)
    advance()
    for value, other in zip(_values(eager), _values(first), strict=True):
        np.testing.assert_array_equal(value, other)


def test_distribution_leaves_a_function():
    prior = _prior(smoothing=smoothing.Power(beta=30.0))
    zeta = tf.fill([2, 7], 0.3)
    found = tf.function(lambda: prior())()
    np.testing.assert_allclose(found.log_prob(zeta), prior().log_prob(zeta), rtol=1e-5)


# --------------------------------------------------------------------------- saving and loading


def test_config_round_trip_of_the_defaults():
    prior = BoltzmannPrior(2, 3)
    other = BoltzmannPrior.from_config(prior.get_config())
    assert other.smoothing is None
    assert other.sampler == PersistentGibbs()
    assert other.weights_regularizer is None


def test_checkpoint_holds_everything(tmp_path):
    def trained(num_steps, prior):
        for _ in range(num_steps):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(prior(training=True).log_prob(tf.ones([2, 7])))
            gradients = tape.gradient(loss, prior.trainable_variables)
            for variable, gradient in zip(prior.trainable_variables, gradients, strict=True):
                variable.assign_sub(0.1 * gradient)
        return prior

    prior = trained(3, _prior(seed=6))
    prior.log_partition.assign(1.25)
    path = tf.train.Checkpoint(prior=prior).save(str(tmp_path / "checkpoint"))
    other = _prior(seed=6)
    restored = tf.train.Checkpoint(prior=other).restore(path)
    restored.assert_existing_objects_matched()
    for value, same in zip(_values(prior), _values(other), strict=True):
        np.testing.assert_array_equal(value, same)
    # Subsequent steps agree too: chains, counter and parameters are the whole state.
    for value, same in zip(_values(trained(2, prior)), _values(trained(2, other)), strict=True):
        np.testing.assert_array_equal(value, same)


def test_float64():
    prior = _prior(smoothing=smoothing.Power(beta=30.0), dtype="float64")
    assert prior.rbm.dtype == tf.float64
    with tf.GradientTape() as tape:
        relaxed = prior(training=True)
        log_prob = relaxed.log_prob(np.full((2, 7), 0.25))
    assert relaxed.dtype == tf.float64
    assert prior.state().left.dtype == tf.float64
    for gradient in tape.gradient(log_prob, prior.trainable_variables):
        assert gradient.dtype == tf.float64
        assert np.isfinite(gradient).all()


def test_mixed_precision_keeps_float32():
    prior = _prior(smoothing=smoothing.Power(beta=30.0), dtype="mixed_bfloat16")
    assert prior.rbm.dtype == tf.float32
    assert prior(training=True).log_prob(tf.fill([2, 7], 0.25)).dtype == tf.float32


# --------------------------------------------------------------------------- learning


def test_learns_another_machine():
    """Samples of a 3 + 3 machine are fitted by a 3 + 3 prior; KL divergences are enumerated."""
    truth = reference.random_machine(3, 3, seed=70, stddev=1.5)
    data = tf.constant(reference.exact_draws(truth, 4_000, seed=71), tf.float32)
    log_truth = reference.joint_log_probs(truth)[0].ravel()

    def divergence(prior):
        return np.exp(log_truth) @ (log_truth - reference.joint_log_probs(_machine(prior))[0].ravel())

    prior = BoltzmannPrior(3, 3, sampler=PersistentGibbs(num_chains=500, num_sweeps=3), seed=1)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 400))
    optimizer.build(prior.trainable_variables)
    before = divergence(prior)

    @tf.function(jit_compile=True)
    def update():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior(training=True).log_prob(data))
        gradients = tape.gradient(loss, prior.trainable_variables)
        optimizer.apply_gradients(zip(gradients, prior.trainable_variables, strict=True))

    for _ in range(400):
        update()
    assert before > 0.5
    # The optimum is close to 0: the family contains the truth, and there are many samples.
    assert divergence(prior) < 0.1


# --------------------------------------------------------------------------- arguments


def test_arguments_may_be_numbers_of_numpy():
    n = np.int64
    prior = _prior(
        n(3),
        np.array(4),
        smoothing=smoothing.Power(n(10)),
        num_tracking_chains=n(2),
        num_mean_field_iterations=n(3),
        seed=n(5),
        num_replicas=n(2),
    )
    same = _prior(
        smoothing=smoothing.Power(10.0),
        num_tracking_chains=2,
        num_mean_field_iterations=3,
        seed=5,
        num_replicas=2,
    )
    config, expected = prior.get_config(), same.get_config()
    assert {name: config[name] for name in config if name not in ("name", "smoothing")} == {
        name: expected[name] for name in expected if name not in ("name", "smoothing")
    }
    for found, value in zip(_values(prior), _values(same), strict=True):
        np.testing.assert_array_equal(found, value)
    assert prior.sample_binary(n(7), n(2), (0, 1)).shape == (7, 7)


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("smoothing", "power", "smoothing such as dvae_tf.smoothing.Power"),
        ("smoothing", smoothing.Power, "smoothing such as dvae_tf.smoothing.Power"),
        ("smoothing", smoothing.Concrete(0.5), "smoothing such as dvae_tf.smoothing.Power"),
        ("sampler", "pcd", "sampler such as dvae_tf.samplers.PersistentGibbs"),
        ("sampler", PersistentGibbs, "sampler such as dvae_tf.samplers.PersistentGibbs"),
    ],
)
def test_names_of_objects_are_refused(name, value, example):
    with pytest.raises(ValueError, match=f"^{name}: expected a {example}.*, got .*"):
        _prior(**{name: value})
    if name == "smoothing":
        with pytest.raises(ValueError, match=f"^{name}: expected a {example}.*, got .*"):
            OverlappingRelaxation(_prior().binary(), value)


def test_half_precision_is_refused():
    with pytest.raises(ValueError, match="^dtype: expected float32 or float64, got float16$"):
        _prior(dtype="float16")


def test_a_measured_log_partition_keeps_its_precision():
    """Through float32 it would be off by about 1e-6."""
    prior = _prior(6, 5, dtype="float64", num_tracking_chains=3)
    rng = np.random.default_rng(0)
    for variable in prior.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    found = prior.measure_log_partition(10, 10, (0, 1))
    expected = reference.log_partition(_machine(prior))
    for log_z in (found.log_partition, prior.log_partition, prior.tracking_population.log_partition):
        assert tf.convert_to_tensor(log_z).dtype == tf.float64
        np.testing.assert_allclose(log_z, expected, rtol=1e-12)


def _log_partition_gradients(prior):
    with tf.GradientTape() as tape:
        log_z = prior.binary().log_partition
    return [
        np.asarray(each) for each in tape.gradient(log_z, [prior.left_bias.value, prior.right_bias.value])
    ]


def test_rao_blackwellized_gradient_is_exact_without_couplings():
    """The means of independent bits, whatever the chains; those of the chains are off."""
    rng = np.random.default_rng(0)
    gradients = {}
    for rao_blackwellized in (True, False):
        prior = BoltzmannPrior(3, 4, couplings=False, rao_blackwellized=rao_blackwellized)
        for bias in (prior.left_bias, prior.right_bias):
            bias.assign(np.float32(rng.normal(size=bias.shape)))
        biases = [np.asarray(bias, np.float64) for bias in (prior.left_bias, prior.right_bias)]
        pairs = zip(_log_partition_gradients(prior), biases, strict=True)
        gradients[rao_blackwellized] = max(np.abs(found - special.expit(bias)).max() for found, bias in pairs)
    assert gradients[True] < 1e-6
    assert gradients[False] > 0.01


def test_rao_blackwellized_gradient_is_the_mean_over_the_chains_of_free_energies():
    prior = BoltzmannPrior(3, 4, rao_blackwellized=True, sampler=PersistentGibbs(5, 1))
    prior.coupling_weights.assign(np.float32(np.random.default_rng(1).normal(size=(3, 4))))
    state = prior.state()
    left, right = np.asarray(state.left, np.float64), np.asarray(state.right, np.float64)
    weights = np.asarray(prior.coupling_weights, np.float64)
    expected = (
        0.5 * (left.mean(0) + special.expit(right @ weights.T).mean(0)),
        0.5 * (right.mean(0) + special.expit(left @ weights).mean(0)),
    )
    for found, mean in zip(_log_partition_gradients(prior), expected, strict=True):
        np.testing.assert_allclose(found, mean, rtol=1e-5)
