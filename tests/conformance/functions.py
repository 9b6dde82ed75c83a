"""The pure functions of the library, each with small arguments."""

import tensorflow as tf

from conformance.cases import SEED, bits, flags, function, positive, real, typed, unit
from dvae_tf import (
    graphs,
    kl,
    local,
    numerics,
    objectives,
    partition,
    priors,
    products,
    rbm,
    samplers,
    smoothing,
)
from dvae_tf.posterior import PosteriorSample
from dvae_tf.rbm import exact

# 3 + 4 units.
MACHINE = (real(3), real(4), real(3, 4))
LEFT, RIGHT = bits(None, 3), bits(None, 4)
# [K, B] each.
TERMS = (real(5, None), real(5, None), unit())


def of_machine(call, *takes, **kwargs):
    """A function of a machine, then tensors."""
    return function(
        lambda left_bias, right_bias, weights, *rest: call(rbm.RBM(left_bias, right_bias, weights), *rest),
        *MACHINE,
        *takes,
        **kwargs,
    )


# Three colors, so an odd number, and edges in no order.
GRAPH = graphs.from_edges(5, [(3, 4), (0, 1), (1, 2), (0, 4), (2, 3), (1, 4)])


# Few neighbors, so that sweeps sum over them.
PATH = graphs.from_edges(16, [(i, i + 1) for i in range(15)])


def of_graph(call, *takes, **kwargs):
    """A function of a machine on a graph, then tensors."""
    return function(
        lambda biases, couplings, *rest: call(GRAPH, biases, couplings, *rest),
        real(5),
        real(6),
        *takes,
        **kwargs,
    )


NUMERICS = {
    "as_seed": function(numerics.as_seed, SEED),
    "binary_digits": typed(
        lambda dtype: lambda x: numerics.binary_digits(tf.cast(8 * x, tf.int64), 4, dtype), unit(None)
    ),
    "fold_in": function(lambda seed: numerics.fold_in(seed, numerics.Tag.TEST, 3), SEED),
    "split": function(lambda seed: numerics.split(seed, 3), SEED),
    "uniform": typed(lambda dtype: lambda seed: numerics.uniform([2, 3], seed, dtype), SEED, draws=True),
    "uniform_pair": typed(
        lambda dtype: lambda seed: numerics.uniform_pair([2, 3], seed, dtype), SEED, draws=True
    ),
    "normal": typed(lambda dtype: lambda seed: numerics.normal([2, 3], seed, dtype), SEED, draws=True),
    "positive_scale": function(numerics.positive_scale, real(None, 3)),
    "draw_bits": function(numerics.draw_bits, unit(None, 3), unit(None, 3)),
    "keep_nan": function(numerics.keep_nan, real(None, 3), real(None, 3)),
    "log_mean_exp": function(numerics.log_mean_exp, real(5, None)),
    "bernoulli_entropy": function(numerics.bernoulli_entropy, real(None, 3)),
    "softplus_difference": function(numerics.softplus_difference, real(None, 3), real(None, 3)),
    "effective_sample_size": function(numerics.effective_sample_size, real(5, None)),
}

PRODUCTS = {
    "matmul": function(products.matmul, real(5, 3), real(3, 4)),
    "matvec": function(products.matvec, real(None, 3), real(3)),
    "tensordot": function(lambda a, b: products.tensordot(a, b, 1), real(None, 3), real(3, 4)),
}


def _draw(logits, sample, distributions=()):
    log_prob = tf.reduce_sum(sample * logits - tf.math.softplus(logits), -1)
    return PosteriorSample(logits, sample, log_prob, distributions)


def _machine(left_bias, right_bias, weights):
    return priors.BoltzmannMachine(left_bias, right_bias, weights, log_partition=1.5)


def _two_groups(layer, logits, sample):
    """Samples of a posterior of two groups of 3 and 4 units."""
    return _draw(logits, sample, tuple(layer(each) for each in tf.split(logits, [3, 3], -1)))


CODE = (real(2, None, 6), unit(2, None, 6))
EVEN = (real(3), real(3), real(3, 3))
KL = {
    "sampled": function(
        lambda logits, zeta, *machine: kl.sampled(_draw(logits, zeta), priors.GumBolt(_machine(*machine))),
        *CODE,
        *EVEN,
    ),
    "proxy": function(
        lambda logits, zeta, *machine: kl.proxy(_draw(logits, zeta), priors.GumBolt(_machine(*machine))),
        *CODE,
        *EVEN,
    ),
    "bernoulli": function(
        lambda logits, zeta, first: kl.bernoulli(_draw(logits, zeta), priors.DirectedBernoulli(first)),
        *CODE,
        real(6),
    ),
    "joint": function(
        lambda logits, zeta, *machine: kl.joint(
            _two_groups(smoothing.Exponential(3.0), logits, zeta), _machine(*machine)
        ),
        *CODE,
        *EVEN,
    ),
    "dvae": function(
        lambda logits, zeta, *machine: kl.dvae(
            _two_groups(smoothing.SpikeExponential(3.0), logits, zeta), _machine(*machine)
        ),
        *CODE,
        *EVEN,
    ),
}


def _streamed(log_weights, seed):
    """Blocks of 2 samples, with one surplus sample in the last; the same log weights in each."""
    return objectives.streamed_bound(
        lambda now: log_weights, tf.shape(log_weights)[1], tf.constant(5), 2, seed, log_weights.dtype
    )


OBJECTIVES = {
    "elbo": function(objectives.elbo, *TERMS),
    "importance_weighted_bound": function(objectives.importance_weighted_bound, *TERMS),
    "streamed_bound": function(_streamed, real(2, None), SEED, differentiable=False),
}


def _path(machine):
    return rbm.tempered_path(machine, tf.linspace(0.2, 0.8, machine.num_left + machine.num_right))


def _along(machine, left, t):
    path = _path(machine)
    return (
        path.at(t),
        path.log_marginal_change(left, t, t / 2),
        path.transposed.base_logits,
        path.log_base,
    )


def _steps(machine, left, t, seed):
    return _path(machine).form.advance([None, left], t / 2, t, seed)


def _by_colors(graph, biases, couplings, z):
    machine = graphs.by_colors(graph, biases, couplings)
    states = machine.split(z)
    return *machine.biases, *machine.blocks.values(), machine.fields(1, states), machine.join(states)


def _sweep(graph, biases, couplings, z, seed):
    machine = graphs.for_sweeps(graph, biases, couplings)
    return machine.join(graphs.sweep(machine, machine.split(z), seed))


def _by_neighbors(biases, couplings, z):
    machine = graphs.for_sweeps(PATH, biases, couplings)
    states = machine.split(z)
    return machine.fields(1, states), machine.join(states)


GRAPHS = {
    "ColoredMachine": of_graph(_by_colors, real(2, None, 5)),
    "SparseMachine": function(_by_neighbors, real(16), real(15), real(None, 16)),
    "as_parameters": of_graph(graphs.as_parameters),
    "block_gibbs": of_graph(
        lambda graph, biases, couplings, z, seed: graphs.block_gibbs(graph, biases, couplings, z, 2, seed),
        bits(None, 5),
        SEED,
        draws=True,
        # Compiled for each batch.
        batches=(1, 3),
        slow=True,
    ),
    "by_colors": of_graph(_by_colors, real(None, 5)),
    "coupling_matrix": function(lambda couplings: graphs.coupling_matrix(GRAPH, couplings), real(6)),
    "elimination.log_partition": of_graph(graphs.elimination.log_partition),
    "elimination.moments": of_graph(graphs.elimination.moments),
    "energy": of_graph(graphs.energy, real(2, None, 5)),
    "enumeration.log_partition": of_graph(graphs.enumeration.log_partition),
    "enumeration.draw_numbers": function(
        lambda log_weights, seed: graphs.enumeration.draw_numbers(log_weights, 5, seed),
        real(6),
        SEED,
        draws=True,
    ),
    "enumeration.moments": of_graph(graphs.enumeration.moments),
    "enumeration.sample": of_graph(
        lambda graph, biases, couplings, seed: graphs.enumeration.sample(graph, biases, couplings, 5, seed),
        SEED,
        draws=True,
    ),
    "exact.log_partition": of_graph(graphs.exact.log_partition),
    "exact.moments": of_graph(graphs.exact.moments),
    "for_sweeps": function(
        lambda *given: _sweep(PATH, *given), real(16), real(15), bits(None, 16), SEED, draws=True
    ),
    "local_fields": of_graph(graphs.local_fields, real(2, None, 5)),
    "sweep": of_graph(_sweep, bits(None, 5), SEED, draws=True),
}

RBM = {
    "ColoredPath": of_machine(_steps, LEFT, unit(), SEED, draws=True),
    "TemperedPath": of_machine(_along, LEFT, unit()),
    "as_machine": of_graph(lambda *machine: rbm.as_machine(*machine, temperature=1.5)[1:]),
    "as_rbm": function(lambda *machine: rbm.as_rbm(*machine, temperature=1.5), *MACHINE),
    "block_gibbs": of_machine(
        lambda machine, left, seed: rbm.block_gibbs(machine, left, 2, seed),
        LEFT,
        SEED,
        draws=True,
        # Compiled for each batch.
        batches=(1, 3),
    ),
    "clamped_gibbs": of_machine(
        lambda machine, z, given, seed: rbm.clamped_gibbs(machine, z, given, 2, seed),
        bits(None, 7),
        flags(None, 7),
        SEED,
        draws=True,
        slow=True,
    ),
    "conditional_logits": of_machine(rbm.conditional_logits, LEFT, RIGHT),
    "energy": of_machine(rbm.energy, real(2, None, 3), real(2, None, 4)),
    "exact.can_sample": of_machine(lambda machine: tf.constant(exact.can_sample(machine))),
    "exact.log_partition": of_machine(exact.log_partition),
    "exact.moments": of_machine(exact.moments),
    "exact.num_exact_units": of_machine(lambda machine: tf.constant(exact.num_exact_units(machine))),
    "exact.sample": of_machine(lambda machine, seed: exact.sample(machine, 5, seed), SEED, draws=True),
    "from_graph": function(
        lambda biases, weights: rbm.from_graph(graphs.bipartite(3, 4), biases, tf.reshape(weights, [-1])),
        real(7),
        real(3, 4),
    ),
    "from_ising": function(rbm.from_ising, *MACHINE),
    "left_free_energy": of_machine(rbm.left_free_energy, LEFT),
    "left_logits": of_machine(rbm.left_logits, RIGHT),
    "mean_free_energy": of_machine(rbm.mean_free_energy, LEFT, RIGHT),
    "right_free_energy": of_machine(rbm.right_free_energy, RIGHT),
    "right_logits": of_machine(rbm.right_logits, LEFT),
    "sample_right": of_machine(rbm.sample_right, LEFT, SEED, draws=True),
    "scaled": of_machine(rbm.scaled, unit()),
    "split_sides": function(lambda z: rbm.split_sides(z, 3), bits(None, 7)),
    "tempered_path": of_machine(_path),
    "to_graph": function(lambda *machine: rbm.to_graph(*machine)[1:], *MACHINE),
    "to_ising": function(rbm.to_ising, *MACHINE),
    "transposed": of_machine(rbm.transposed),
    "uniform_bits": typed(lambda dtype: lambda seed: rbm.uniform_bits(5, 7, seed, dtype), SEED, draws=True),
    "uniform_states": typed(
        lambda dtype: lambda seed: rbm.uniform_states(5, 3, 4, seed, dtype), SEED, draws=True
    ),
}


def _few_gibbs(machine, seed):
    sampler = samplers.PersistentGibbs(num_chains=4, num_sweeps=1)
    state = sampler.init(3, 4, seed, machine.dtype)
    return samplers.measure_mixing(sampler, *machine, state, seed, num_steps=3)


def _short_path(machine, seed):
    sampler = samplers.PopulationAnnealing(num_chains=4, num_sweeps=1)
    state = sampler.init(3, 4, seed, machine.dtype)
    return samplers.follow_straight_path(sampler, *machine, state, 2, seed)


SAMPLERS = {
    "anneal": of_machine(
        lambda machine, seed: samplers.anneal(rbm.tempered_path(machine), 2, 4, 1, seed),
        SEED,
        draws=True,
        slow=True,
    ),
    "autocorrelation_time": function(samplers.autocorrelation_time, real(6, 3)),
    "count_families": function(lambda x: samplers.count_families(tf.cast(3 * x, tf.int32)), real(5)),
    "equal_rejection_ladder": function(samplers.equal_rejection_ladder, unit(4), unit(3)),
    "follow_straight_path": of_machine(_short_path, SEED, draws=True, slow=True),
    "measure_mixing": of_machine(_few_gibbs, SEED, draws=True, slow=True),
    "mixing": function(samplers.mixing, real(6, 3)),
    "sample_clamped": function(
        lambda left_bias, right_bias, weights, z, given, seed: samplers.sample_clamped(
            left_bias, right_bias, weights, z, given, 2, seed
        ),
        *MACHINE,
        bits(None, 7),
        flags(7),
        SEED,
        draws=True,
        slow=True,
    ),
    "systematic_resampling": function(samplers.systematic_resampling, real(None, 5), SEED, draws=True),
}


def _log_z(estimate, **options):
    """An estimator of log Z, with small numbers."""
    return function(
        lambda *given: estimate(*given[:-1], seed=given[-1], **options),
        *MACHINE,
        SEED,
        draws=True,
        slow=True,
    )


PARTITION = {
    "annealed_importance_sampling": _log_z(
        partition.annealed_importance_sampling, num_temperatures=3, num_chains=4
    ),
    "bennett": function(partition.bennett, real(5, None), real(6, None), differentiable=False),
    "bridge_sampling": _log_z(
        partition.bridge_sampling,
        num_temperatures=3,
        num_chains=3,
        num_samples=4,
        num_sweeps=1,
        num_burn_in=1,
    ),
    "estimate": function(
        lambda left_bias, right_bias, weights, left, seed: partition.estimate(
            left_bias, right_bias, weights, 3, 4, seed, left, max_exact_units=1
        ),
        *MACHINE,
        bits(4, 3),
        SEED,
        draws=True,
        slow=True,
    ),
    "estimate_graph": of_graph(lambda *machine: partition.estimate_graph(*machine)),
    "exact": function(partition.exact, *MACHINE, slow=True),
    "exact_graph": of_graph(partition.exact_graph),
    "population_annealing": _log_z(
        partition.population_annealing, num_populations=2, num_chains=4, num_sweeps=1, num_temperatures=3
    ),
    "reverse_annealed_importance_sampling": function(
        lambda left_bias, right_bias, weights, left, seed: partition.reverse_annealed_importance_sampling(
            left_bias, right_bias, weights, left, 3, seed
        ),
        *MACHINE,
        LEFT,
        SEED,
        draws=True,
        batches=(2, 3, 7),
        slow=True,
    ),
}

PRIORS = {
    "log_partition_surrogate": function(
        priors.log_partition_surrogate, *MACHINE, bits(5, 3), bits(5, 4), real(), positive(5)
    ),
    "mean_field": of_machine(
        lambda machine, left, right: priors.mean_field(machine, left, right, 2), real(None, 3), real(None, 4)
    ),
}

_GAUSSIANS = real(None, 3), positive(None, 3)
LOCAL = {
    "gaussian_kl": function(local.gaussian_kl, *_GAUSSIANS),
    "log_ratio": function(local.log_ratio, *_GAUSSIANS, real(None, 3)),
}

TABLES = {
    "graphs": GRAPHS,
    "kl": KL,
    "local": LOCAL,
    "numerics": NUMERICS,
    "objectives": OBJECTIVES,
    "partition": PARTITION,
    "priors": PRIORS,
    "products": PRODUCTS,
    "rbm": RBM,
    "samplers": SAMPLERS,
}
FUNCTIONS = {f"{package}.{name}": case for package, table in TABLES.items() for name, case in table.items()}
