"""Priors of machines on graphs, and their relaxations, against enumeration: a triangle and a 5-cycle."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from dvae_tf import graphs, kl, partition, priors, rbm, samplers, smoothing
from dvae_tf.posterior import PosteriorSample
from dvae_tf.priors import overlapping
from support import graph_reference, reference

TRIANGLE = graphs.from_edges(3, [(1, 2), (0, 1), (2, 0)])
CYCLE = graphs.from_edges(5, [(3, 4), (0, 1), (1, 2), (0, 4), (2, 3)])
each_graph = pytest.mark.parametrize("graph", [TRIANGLE, CYCLE], ids=["triangle", "5-cycle"])


def _parameters(graph, stddev=1.0):
    return graph_reference.parameters(graph, seed=graph.num_units, stddev=stddev)


def _machine(graph, stddev=1.0, **options):
    return priors.GraphBoltzmannMachine(graph, *_parameters(graph, stddev), **options)


@each_graph
def test_log_prob_and_samples(graph):
    machine = _machine(graph)
    z = reference.binary_states(graph.num_units)
    probs = graph_reference.probabilities(graph, *_parameters(graph))
    np.testing.assert_allclose(machine.log_prob(z), np.log(probs), rtol=1e-10)
    draws = machine.sample(20_000, seed=(1, 2))
    assert reference.chi_square_p_value(reference.state_numbers(draws), probs) > 1e-4
    q = np.linspace(-1, 2, graph.num_units)
    log_q = (z * special.log_expit(q) + (1 - z) * special.log_expit(-q)).sum(1)
    bits = priors.boltzmann.tfd.Independent(priors.boltzmann.tfd.Bernoulli(logits=tf.constant(q)), 1)
    found = priors.boltzmann.tfd.kl_divergence(bits, machine)
    np.testing.assert_allclose(found, (np.exp(log_q) * (log_q - np.log(probs))).sum(), rtol=1e-10)


def test_a_machine_too_wide_for_exact_log_z():
    """Three colors of 12 units, all joined."""
    graph = graphs.from_edges(36, [(i, j) for j in range(36) for i in range(j) if i % 3 != j % 3])
    machine = priors.GraphBoltzmannMachine(graph, np.zeros(36), np.zeros(graph.num_edges), num_sweeps=2)
    with pytest.raises(ValueError, match=r"log_partition: expected a number for Graph\(36 units"):
        machine.log_prob(np.zeros(36))
    assert machine.sample(3, seed=(0, 1)).shape == (3, 36)
    with pytest.raises(ValueError, match="graph: expected a graph such as"):
        priors.GraphBoltzmannMachine(None, np.zeros(3), np.zeros(3))


@each_graph
@pytest.mark.parametrize("rao_blackwellized", [False, True])
def test_the_surrogate_has_the_gradient_of_log_z(graph, rao_blackwellized):
    """Over all states, weighted by their probabilities: exactly the moments."""
    parameters = [tf.Variable(each) for each in _parameters(graph)]
    z = reference.binary_states(graph.num_units)
    left, right = rbm.as_machine(graph, *parameters).sides(z)
    log_weights = np.log(graph_reference.probabilities(graph, *_parameters(graph)))
    with tf.GradientTape() as tape:
        value = priors.log_partition_surrogate(
            graph, *parameters, left, right, 3.0, log_weights, rao_blackwellized
        )
    np.testing.assert_allclose(value, 3.0)
    _, means, products = graph_reference.moments(graph, *_parameters(graph))
    for found, expected in zip(tape.gradient(value, parameters), (means, products), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_rao_blackwellization_lowers_the_variance():
    """Of every bias and coupling, over single states; each color is averaged in a part of the mean."""
    machine = rbm.as_machine(CYCLE, *_parameters(CYCLE))
    z = tf.constant(reference.binary_states(5))
    probs = graph_reference.probabilities(CYCLE, *_parameters(CYCLE))

    def variances(energy):
        with tf.GradientTape() as tape:
            tiled = machine.map(lambda each: tf.tile(each[tf.newaxis], [32, 1]))
            tape.watch([tiled.biases, tiled.couplings])
            rows = [
                energy(rbm.as_machine(CYCLE, a, w), *rbm.as_machine(CYCLE, a, w).sides(state[tf.newaxis]))[0]
                for a, w, state in zip(*map(tf.unstack, (tiled.biases, tiled.couplings, z)), strict=True)
            ]
            total = tf.add_n(rows)
        found = np.concatenate(tape.gradient(total, [tiled.biases, tiled.couplings]), 1)
        return probs @ found**2 - (probs @ found) ** 2

    plain, averaged = variances(rbm.energy), variances(rbm.mean_free_energy)
    assert (averaged < plain * (1 + 1e-9)).all()
    assert averaged.sum() < 0.8 * plain.sum()


def _mean_field(graph, parameters, shift, num_iterations):
    """Color by color, by a loop over units; m from 0.5."""
    biases, couplings = parameters
    matrix = graph_reference.coupling_matrix(graph, couplings)
    means = np.full(graph.num_units, 0.5)
    for _ in range(num_iterations):
        for units in graph.colors:
            means[units] = special.expit(biases + shift + matrix @ means)[units]
    return means


@each_graph
def test_mean_field_color_by_color(graph):
    relaxation = priors.OverlappingRelaxation(_machine(graph, 2.0), smoothing.Power(5.0, dtype="float64"), 3)
    zeta = np.random.default_rng(1).uniform(0.05, 0.95, graph.num_units)
    shift = np.asarray(relaxation.smoothing.log_density_ratio(tf.constant(zeta), 5.0))
    expected = _mean_field(graph, _parameters(graph, 2.0), shift, 3)
    np.testing.assert_allclose(relaxation.mean_field(zeta), expected, rtol=1e-9)


def _relaxed_log_prob(graph, parameters, layer, zeta):
    """log sum over z of p(z) r(zeta | z), by enumeration."""
    theta = [tf.cast(each, tf.float64) for each in layer.theta]
    z = reference.binary_states(graph.num_units)
    log_r = z * np.asarray(layer.log_density_ratio(tf.constant(zeta), *theta)) + np.asarray(
        layer.log_density_given_0(tf.constant(zeta), *theta)
    )
    log_p = -graph_reference.energy(graph, *parameters, z) - graph_reference.moments(graph, *parameters)[0]
    return special.logsumexp(log_p + log_r.sum(1))


@each_graph
def test_the_overlapping_relaxation_is_a_close_bound_with_its_gradient(graph):
    """Below log p(zeta) and, where the smoothing is sharp, close to it, as are its gradients."""
    parameters, layer = _parameters(graph), smoothing.Exponential(12.0, dtype="float64")
    for row in np.random.default_rng(2).uniform(0.02, 0.98, (5, graph.num_units)):
        zeta = np.where(row < 0.5, 0.2 * row, 1 - 0.2 * (1 - row))
        variables = [tf.Variable(zeta), *map(tf.Variable, parameters)]
        with tf.GradientTape() as tape:
            machine = priors.GraphBoltzmannMachine(graph, *variables[1:])
            value = priors.OverlappingRelaxation(machine, layer, 20).log_prob(variables[0])
        exact = _relaxed_log_prob(graph, parameters, layer, zeta)
        assert exact - 0.05 < float(value) <= exact + 1e-9
        arguments = [zeta, *parameters]
        for place, found in enumerate(tape.gradient(value, variables)):

            def moved(argument, place=place, arguments=arguments):
                given = [*arguments[:place], argument, *arguments[place + 1 :]]
                return _relaxed_log_prob(graph, given[1:], layer, given[0])

            np.testing.assert_allclose(
                found, reference.finite_difference(moved, arguments[place]), atol=0.05, rtol=0.05
            )


@each_graph
def test_without_couplings_the_overlapping_relaxation_is_exact(graph):
    biases, layer = _parameters(graph)[0], smoothing.Power(4.0, dtype="float64")
    zeta = np.random.default_rng(3).uniform(0.1, 0.9, graph.num_units)
    machine = priors.GraphBoltzmannMachine(graph, biases, np.zeros(graph.num_edges))
    found = priors.OverlappingRelaxation(machine, layer).log_prob(zeta)
    expected = _relaxed_log_prob(graph, (biases, np.zeros(graph.num_edges)), layer, zeta)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_mean_field_that_is_not_fitted_is_noticed(monkeypatch):
    check = test_the_overlapping_relaxation_is_a_close_bound_with_its_gradient
    monkeypatch.setattr(
        overlapping, "mean_field", lambda _, *sides: [tf.zeros_like(side) for side in sides[:2]]
    )
    with pytest.raises(AssertionError):
        check(CYCLE)


@each_graph
def test_the_gaussian_integral_by_enumeration(graph):
    """log sum over z of p(z) N(zeta; z, A^-1), its gradients in everything, and its samples."""
    parameters = _parameters(graph)
    matrix = graph_reference.coupling_matrix(graph, parameters[1])
    norm = np.abs(np.linalg.eigvalsh(matrix)).max()
    z = reference.binary_states(graph.num_units)
    beta = norm + 6

    def log_prob(zeta, biases, couplings):
        precision = graph_reference.coupling_matrix(graph, couplings) + beta * np.eye(graph.num_units)
        log_p = -graph_reference.energy(graph, biases, couplings, z)
        log_p -= graph_reference.moments(graph, biases, couplings)[0]
        log_r = [stats.multivariate_normal(each, np.linalg.inv(precision)).logpdf(zeta) for each in z]
        return special.logsumexp(log_p + log_r)

    arguments = [np.random.default_rng(4).normal(0.5, 0.7, graph.num_units), *parameters]
    variables = [tf.Variable(each) for each in arguments]
    with tf.GradientTape() as tape:
        machine = priors.GraphBoltzmannMachine(graph, *variables[1:])
        relaxation = priors.GaussianIntegralRelaxation(machine, beta)
        value = relaxation.log_prob(variables[0])
    np.testing.assert_allclose(value, log_prob(*arguments), rtol=1e-9)
    for place, found in enumerate(tape.gradient(value, variables)):

        def moved(argument, place=place):
            return log_prob(*arguments[:place], argument, *arguments[place + 1 :])

        np.testing.assert_allclose(
            found, reference.finite_difference(moved, arguments[place]), rtol=1e-5, atol=1e-6
        )
    # A smaller beta is raised, so that A is positive definite.
    raised = priors.GaussianIntegralRelaxation(machine, 1.0)
    np.testing.assert_allclose(raised.sharpness, norm + 5, rtol=1e-9)
    draws = raised.sample(20_000, seed=(5, 6)).numpy()
    covariance = np.linalg.inv(matrix + float(raised.sharpness) * np.eye(graph.num_units))
    probs = graph_reference.probabilities(graph, *parameters)
    expected = covariance + (z * probs[:, np.newaxis]).T @ z - np.outer(probs @ z, probs @ z)
    assert np.abs(np.cov(draws.T) - expected).max() < 0.02


@each_graph
def test_gumbolt(graph):
    zeta = np.random.default_rng(7).uniform(size=(4, graph.num_units))
    found = priors.GumBolt(_machine(graph)).log_prob(zeta)
    expected = -graph_reference.energy(graph, *_parameters(graph), zeta)
    np.testing.assert_allclose(
        found, expected - graph_reference.moments(graph, *_parameters(graph))[0], rtol=1e-9
    )


# --------------------------------------------------------------------------- KL terms

# Groups of two units, with edges within and between them.
SQUARE = graphs.from_edges(4, [(0, 1), (3, 2), (0, 2), (1, 3), (0, 3)])
FIRST, SECOND, SLOPE = np.array([0.4, -0.7]), np.array([-0.2, 0.5]), np.array([[1.5, -0.8], [0.6, 1.1]])


def _draw(zeta, first, relaxation, seed=(3, 4)):
    """A draw [N, D] of two groups, of which the second sees zeta of the first."""
    second = SECOND + tf.matmul(zeta, SLOPE)
    logits = tf.concat([tf.broadcast_to(first, tf.shape(second)), second], -1)
    groups = tuple(relaxation(each) for each in tf.split(logits, 2, -1))
    sample = tf.concat([zeta, groups[1].sample(seed=seed)], -1)
    return PosteriorSample(logits, sample, tf.zeros(len(zeta)), groups)


def _exact_kl(first, parameters, density, nodes, weights):
    """KL of q(z, zeta) from p(z) r(zeta | z): sums over the bits, quadrature over zeta of the first group."""
    z = reference.binary_states(4)
    log_p = -graph_reference.energy(SQUARE, *parameters, z) - graph_reference.moments(SQUARE, *parameters)[0]
    total = 0.0
    for one in reference.binary_states(2):
        log_q1 = (one * special.log_expit(first) + (1 - one) * special.log_expit(-first)).sum()
        (zeta_a, density_a), (zeta_b, density_b) = (density(bit, nodes, weights) for bit in one)
        a, b = (each.ravel() for each in np.meshgrid(zeta_a, zeta_b, indexing="ij"))
        measure = np.outer(density_a, density_b).ravel()
        second = SECOND + np.stack([a, b], 1) @ SLOPE
        for two in reference.binary_states(2):
            log_q2 = (two * special.log_expit(second) + (1 - two) * special.log_expit(-second)).sum(1)
            row = reference.state_numbers(np.concatenate([one, two]))
            total += np.exp(log_q1) * (measure * np.exp(log_q2) * (log_q1 + log_q2 - log_p[row])).sum()
    return total


def _nodes():
    nodes, weights = np.polynomial.legendre.leggauss(20)
    return (nodes + 1) / 2, weights / 2


BETA = 3.0


def _exponential(bit, nodes, weights):
    scale = BETA / (1 - np.exp(-BETA))
    return nodes, weights * scale * np.exp(-BETA * (1 - nodes if bit else nodes))


def _spike(bit, nodes, weights):
    return _exponential(1.0, nodes, weights) if bit else (np.zeros(1), np.ones(1))


def test_joint_of_two_groups_averages_to_the_exact_divergence():
    """An edge within a group takes mu mu, one between groups nu mu; mu mu everywhere does not do."""
    parameters = graph_reference.parameters(SQUARE, seed=8)
    nodes, weights = _nodes()
    a, b = (each.ravel() for each in np.meshgrid(nodes, nodes, indexing="ij"))
    densities = [_exponential(bit, nodes, weights)[1] for bit in (0, 1)]
    mixture = [special.expit(-odds) * densities[0] + special.expit(odds) * densities[1] for odds in FIRST]
    measure = np.outer(*mixture).ravel()
    draw = _draw(tf.constant(np.stack([a, b], 1)), FIRST, smoothing.Exponential(BETA, dtype="float64"))
    machine = priors.GraphBoltzmannMachine(SQUARE, *parameters)
    expected = _exact_kl(FIRST, parameters, _exponential, nodes, weights)
    np.testing.assert_allclose(measure @ np.asarray(kl.joint(draw, machine)), expected, rtol=1e-9)
    blind = draw._replace(distributions=draw.distributions[:1])
    assert abs(measure @ np.asarray(kl.joint(blind, machine)) - expected) > 1e-3


def test_dvae_gradient_of_two_groups():
    """Rolfe's surrogate, over all units of a graph with edges within groups: its mean is the gradient."""
    parameters = graph_reference.parameters(SQUARE, seed=9)
    machine = priors.GraphBoltzmannMachine(SQUARE, *parameters)
    first = tf.Variable(FIRST)
    relaxation = smoothing.SpikeExponential(BETA, dtype="float64")

    def gradients(seed):
        copies = tf.tile(first[tf.newaxis], [4_000, 1])
        with tf.GradientTape() as tape:
            tape.watch(copies)
            zeta = relaxation(copies).sample(seed=(6, seed))
            value = tf.reduce_sum(kl.dvae(_draw(zeta, copies, relaxation, (7, seed)), machine))
        return tape.gradient(value, copies).numpy()

    found = np.concatenate([gradients(call) for call in range(10)])
    nodes, weights = _nodes()
    expected = reference.finite_difference(
        lambda each: _exact_kl(each, parameters, _spike, nodes, weights), FIRST
    )
    assert np.abs(reference.z_scores(found, expected)).max() < 4
    assert np.abs(found.std(0) / np.sqrt(len(found))).max() < 0.05


# --------------------------------------------------------------------------- the layer


def _prior(**options):
    options = {"sampler": samplers.PersistentGibbs(50, 2), "seed": 3} | options
    return priors.BoltzmannPrior(graph=CYCLE, **options)


@pytest.mark.slow
def test_the_layer_owns_biases_and_couplings_and_learns_a_machine():
    """Maximum likelihood from the moments of a machine leads to that machine."""
    parameters = _parameters(CYCLE)
    prior = _prior(sampler=samplers.PersistentGibbs(2_000, 4), rao_blackwellized=True)
    assert [tuple(each.shape) for each in prior.trainable_variables] == [(5,), (5,)]
    assert isinstance(prior(), priors.GraphBoltzmannMachine)
    draws = tf.constant(graph_reference.exact_draws(CYCLE, *parameters, 20_000, seed=10), tf.float32)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 50, 0.5))
    optimizer.build(prior.trainable_variables)

    @tf.function(jit_compile=True)
    def update():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior(training=True).log_prob(draws))
        optimizer.apply(tape.gradient(loss, [each.value for each in prior.trainable_variables]))

    for _ in range(300):
        update()
    _, *moments = graph_reference.moments(CYCLE, *(np.asarray(each, np.float64) for each in prior.parameters))
    _, *expected = graph_reference.moments(CYCLE, *parameters)
    for found, wanted in zip(moments, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.03)
    measured = prior.measure_log_partition(10, 10, (1, 2))
    assert measured.method == "exact"
    exact = partition.exact(CYCLE, *(each.value for each in prior.parameters))
    np.testing.assert_allclose(prior.log_partition, exact, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"smoothing": smoothing.Power(5.0), "weights_regularizer": keras.regularizers.L2(0.1)},
        pytest.param(
            {"sampler": samplers.PopulationAnnealing(20, 1), "num_tracking_chains": 10, "num_replicas": 2},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"sampler": samplers.ParallelTempering(5, 1, num_temperatures=3), "couplings": False},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["pcd", "pa", "pt"],
)
def test_steps_states_and_configuration(options):
    prior = _prior(**options)
    start = [np.array(each) for each in prior.variables]
    prior(training=True)
    assert any(np.any(one != np.asarray(other)) for one, other in zip(start, prior.variables, strict=True))
    z = prior.sample_binary(7, 2, (0, 1)).numpy()
    assert z.shape == (7, 5)
    assert set(np.unique(z)) <= {0.0, 1.0}
    assert np.isfinite(float(prior.measure_log_partition(10, 10, (1, 2)).log_partition))
    if not isinstance(prior.sampler, samplers.PersistentGibbs):
        # Energies of a machine without couplings or biases do not vary.
        found = prior.diagnostics()
        assert all(np.isfinite(value) for name, value in found.items() if prior.couplings or name != "r_hat")
    same = priors.BoltzmannPrior.from_config(prior.get_config())
    assert same.graph == CYCLE
    assert [each.path for each in same.variables] == [each.path for each in prior.variables]
    for one, other in zip(same.variables, start, strict=True):
        np.testing.assert_array_equal(one, other)
    if "weights_regularizer" in options:
        np.testing.assert_allclose(
            sum(prior.losses), 0.1 * np.sum(np.square(prior.graph_couplings)), rtol=1e-6
        )
    if not options.get("couplings", True):
        assert prior.trainable_variables == [prior.biases]
        np.testing.assert_array_equal(prior.graph_couplings, np.zeros(5))


def test_the_gaussian_integral_layer_follows_the_norm():
    prior = priors.GaussianIntegralPrior(graph=CYCLE, beta=1.0, sampler=samplers.PersistentGibbs(5, 1))
    prior.graph_couplings.assign(np.linspace(-2, 3, 5))
    for _ in range(30):
        prior(training=True)
    matrix = graph_reference.coupling_matrix(CYCLE, np.linspace(-2, 3, 5))
    norm = np.abs(np.linalg.eigvalsh(matrix)).max()
    np.testing.assert_allclose(prior.spectral_norm, norm, rtol=1e-3)
    np.testing.assert_allclose(prior().sharpness, norm + 5, rtol=1e-3)


def test_refusals():
    with pytest.raises(ValueError, match="num_left: expected None together with a graph"):
        priors.BoltzmannPrior(2, 3, graph=CYCLE)
    with pytest.raises(ValueError, match="num_left: expected an integer"):
        priors.BoltzmannPrior()
    with pytest.raises(ValueError, match="graph: expected a graph such as"):
        priors.BoltzmannPrior(graph="chimera")
    with pytest.raises(AttributeError):
        _prior().rbm  # noqa: B018
