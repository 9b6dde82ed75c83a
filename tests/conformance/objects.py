"""The layers, samplers and models of the library: objects with a configuration, and perhaps variables."""

import functools

import keras
import numpy as np
import tensorflow as tf

from conformance.cases import SEED, Case, bits, layer, odds, real, unit
from conformance.distributions import _binary, _smoothed
from conformance.functions import MACHINE
from dvae_tf import estimators, models, priors, samplers, smoothing
from dvae_tf.local import LocalVariables
from dvae_tf.networks import GridNetwork, ImageDecoder, ImageFeatures, Network
from dvae_tf.networks.convolutional import Convolution, ResidualBlock
from dvae_tf.posterior import Posterior
from support.tiny import NUM_PIXELS, rough_model, struct_of

CHAINS = samplers.PersistentGibbs(num_chains=5, num_sweeps=1)


def _relaxation(make, methods=_smoothed, outputs=1, slow=False):
    """A layer of smoothing: its distribution at log-odds, and its samples."""

    def density(layer, zeta, *outputs):
        distribution = layer(*outputs)
        return distribution.log_prob(zeta), methods(distribution, zeta)

    def sample(layer, *given):
        return layer(*given[:-1]).sample(2, seed=given[-1])

    takes = (odds(None, 3),) * outputs
    return layer(
        make,
        density=(density, (unit(None, 3), *takes), {"slow": slow}),
        sample=(sample, (*takes, SEED), {"draws": True}),
    )


def _of_beta(kind, beta, **options):
    return _relaxation(lambda dtype: kind(beta, trainable_beta=True, name="mine"), **options)


def _shifted(dtype):
    made = smoothing.ShiftedGaussian(name="mine")
    made.build((None, 3))
    return made


# Smoothings that search their quantiles are slow to trace; Power represents them.
SMOOTHINGS = {
    "Concrete": _relaxation(
        lambda dtype: smoothing.Concrete(1 / 7, trainable_temperature=True, name="mine"), _binary
    ),
    "Exponential": _of_beta(smoothing.Exponential, 12.0),
    "Gaussian": _of_beta(smoothing.Gaussian, 30.0, slow=True),
    "Logistic": _of_beta(smoothing.Logistic, 8.0),
    "Power": _of_beta(smoothing.Power, 30.0),
    "ShiftedGaussian": _relaxation(_shifted, outputs=2, slow=True),
    "SpikeExponential": _of_beta(smoothing.SpikeExponential, 5.0),
    "UniformExponential": _of_beta(smoothing.UniformExponential, 30.0, slow=True),
}


def _draws(layer, logits, seed):
    """The draws of a layer that keeps its own seed."""
    layer.seed_state.assign(tf.cast(seed, tf.int64))
    return layer(logits)


SMOOTHINGS["Normal"] = _relaxation(
    lambda dtype: smoothing.Normal(name="mine"), lambda q, zeta: (q.cdf(zeta), q.mean()), outputs=2
)
SMOOTHINGS["Sampling"] = layer(
    lambda dtype: smoothing.Sampling(
        smoothing.Power(30.0, trainable_beta=True, name="mine"), seed=1, name="draws"
    ),
    sample=(_draws, (odds(None, 3), SEED), {"draws": True}),
)


@keras.saving.register_keras_serializable("conformance")
def _fair_bits(biases, couplings, num_chains, seed):
    """The states of an external sampler at infinite temperature."""
    return np.random.default_rng(seed).integers(0, 2, (num_chains, len(biases)))


def _sampler(sampler, **options):
    """A sampler: the first state, a step from it, and its diagnostics."""

    def steps(sampler, left_bias, right_bias, weights, seed):
        machine = left_bias, right_bias, weights
        state = sampler.init(3, 4, seed, weights.dtype)
        moved, info = sampler.step(*machine, state, seed)
        known = sampler.with_log_partition(*machine, moved, tf.zeros([], weights.dtype))
        shape = moved.left, moved.right, moved.log_weights
        return state, moved, info, known, shape, list(sampler.summary(moved).values())

    return layer(lambda dtype: sampler, step=(steps, (*MACHINE, SEED), {"draws": True} | options))


SAMPLERS = {
    "External": _sampler(samplers.External(_fair_bits, num_chains=5), xla=False),
    "ParallelTempering": _sampler(samplers.ParallelTempering(5, 2, num_temperatures=3), slow=True),
    "PersistentGibbs": _sampler(samplers.PersistentGibbs(5, 2)),
    "PopulationAnnealing": _sampler(samplers.PopulationAnnealing(5, 2), slow=True),
}


def _prior(kind, value, **options):
    """A prior: its distribution of the code and of the bits, and its draws."""

    def density(layer, zeta, z):
        return layer().log_prob(zeta), layer.binary().log_prob(z)

    def sample(layer, seed):
        return layer.sample_binary(3, 2, seed), layer().sample(3, seed=seed)

    return layer(
        lambda dtype: kind(dtype=dtype.name, name="mine", **options),
        density=(density, (value, bits(None, 6)), {}),
        sample=(sample, (SEED,), {"draws": True}),
    )


def _machine_prior(kind, value, **options):
    return _prior(
        kind, value, num_left=2, num_right=4, sampler=CHAINS, num_tracking_chains=4, seed=3, **options
    )


def _directed(**options):
    return priors.DirectedPrior(
        3, [_network([3], 3, 1, tf.as_dtype(options["dtype"]))], smoothing.Concrete(0.5), **options
    )


PRIORS = {
    "BoltzmannPrior": _machine_prior(
        priors.BoltzmannPrior,
        unit(None, 6),
        smoothing=smoothing.Exponential(3.0, trainable_beta=True),
        num_mean_field_iterations=7,
        weights_regularizer=keras.regularizers.L2(1e-4),
    ),
    "DirectedPrior": _prior(_directed, unit(None, 6)),
    "GaussianIntegralPrior": _machine_prior(priors.GaussianIntegralPrior, real(None, 6), beta=8.0),
    "GaussianPrior": _prior(priors.GaussianPrior, real(None, 6), units=6),
    "GumBoltPrior": _machine_prior(priors.GumBoltPrior, unit(None, 6), couplings=False),
}


def _network(inputs, outputs, seed, dtype, name="mine"):
    made = Network(
        inputs, [4], outputs, seed=seed, output_bias=np.arange(outputs) / 8, dtype=dtype.name, name=name
    )
    made.build(None)
    return made


def _posterior(dtype):
    encoders = _network([5], 3, 1, dtype, "first"), _network([5, 3], 3, 2, dtype, "second")
    shared = smoothing.Power(3.0)
    return Posterior(encoders, [shared, shared], dtype=dtype.name, name="mine")


def _named(kind, *args, **options):
    def make(dtype):
        made = kind(*args, seed=1, dtype=dtype.name, name="mine", **options)
        made.build(None)
        return made

    return make


def _convolution(dtype):
    made = Convolution(2, 3, padding="same", data_format="channels_last", dtype=dtype.name, name="mine")
    made.build((None, 3, 2, 3))
    return made


def _local(dtype):
    encoders = [_network([5, 4 + 2 * i], 4, 1, dtype, f"encoder_{i}") for i in range(2)]
    nets = [_network([4 + 2 * i], 4, 2, dtype, f"prior_{i}") for i in range(2)]
    return LocalVariables(encoders, nets, 2, dtype=dtype.name, name="mine")


# Images of 6 x 3 pixels on a grid of 3 x 2 places, with 4 bits and one local group of 2 variables at a place.
CONVOLUTIONAL = {
    "networks.ImageFeatures": layer(
        _named(ImageFeatures, (6, 3), (3,)), inference=(lambda net, x: net(x), (real(None, 18),), {})
    ),
    "networks.GridNetwork": layer(
        _named(GridNetwork, (3, 2), 4, (2,), 3, 2, feature_channels=3),
        inference=(lambda net, x, given: net(x, given), (real(None, 18), real(2, None, 16)), {}),
    ),
    "networks.ImageDecoder": layer(
        _named(ImageDecoder, (6, 3), 4, (2,), (3,), output_bias=np.arange(36) / 8),
        inference=(lambda net, code: net(code), (real(None, 16),), {}),
    ),
    "networks.convolutional.Convolution": layer(
        _convolution, inference=(lambda net, hidden: net(hidden), (real(None, 3, 2, 3),), {})
    ),
    "networks.convolutional.ResidualBlock": layer(
        _named(ResidualBlock, 3), inference=(lambda net, hidden: net(hidden), (real(None, 3, 2, 3),), {})
    ),
}

NETWORKS = CONVOLUTIONAL | {
    "local.LocalVariables": layer(
        _local,
        posterior=(
            lambda layer, x, code, noise: layer(x, code, noise),
            (real(None, 5), unit(2, None, 4), real(2, None, 4)),
            {},
        ),
        prior=(lambda layer, code, noise: layer.sample(code, noise), (unit(None, 4), real(None, 4)), {}),
    ),
    "networks.Network": layer(
        functools.partial(_network, [5, 3], 3, 1),
        inference=(lambda net, x, before: net(x, before), (real(None, 5), real(2, None, 3)), {}),
    ),
    "posterior.Posterior": layer(
        _posterior,
        relaxed=(
            lambda layer, x, seed: layer(x, num_samples=2, seed=seed),
            (real(None, 5), SEED),
            {"draws": True},
        ),
        bits=(
            lambda layer, x, seed: layer.sample_binary(x, 2, seed),
            (real(None, 5), SEED),
            {"draws": True},
        ),
    ),
}

SINGLE = {"dtypes": (tf.float32,)}
DRAWS = SINGLE | {"draws": True}
SLOW = {"slow": True}
X = bits(None, NUM_PIXELS)
MODELS = {
    "models.DVAE": layer(
        lambda dtype: rough_model("tiny-2", k=2),
        call=(lambda model, x: model(x), (X,), SINGLE),
        decode=(lambda model, z: model.decode(z), (bits(2, None, 6),), SINGLE),
        encode=(lambda model, x, seed: model.encode(x, 2, seed), (X, SEED), DRAWS),
        sample=(lambda model, seed: model.sample(4, seed, 2), (SEED,), DRAWS),
        log_likelihood=(lambda model, x, seed: model.log_likelihood(x, 3, seed), (X, SEED), DRAWS | SLOW),
        relaxed_bound=(lambda model, x, seed: model.relaxed_bound(x, seed), (X, SEED), DRAWS | SLOW),
    )
}


def _estimator(baseline, **changes):
    """An estimator, a function, in the model of a baseline, which has the variables."""
    k = 1 if baseline == "rebar" else 2
    model = layer(
        lambda dtype: rough_model(struct_of(baseline), k=k, baseline=baseline, **changes),
        bound=(lambda model, x, seed: model.relaxed_bound(x, seed, 0.5), (X, SEED), DRAWS | SLOW),
    )
    return Case(model.programs)


ESTIMATORS = {name: _estimator(name) for name in ("rloo", "vimco", "disarm", "rebar")} | {
    "reparameterized": _estimator("gumbolt"),
    "doubly_reparameterized": _estimator("dvaes_exp", doubly_reparameterized=True),
    "ControlVariate": _relaxation(lambda dtype: estimators.ControlVariate(0.5, name="mine"), _binary),
}


def _likelihood(kind, num_outputs, **arguments):
    """A likelihood of the pixels: log p(x | outputs) and the mean image."""

    def density(likelihood, outputs, x):
        distribution = likelihood(outputs)
        return distribution.log_prob(x), distribution.mean()

    takes = (real(2, None, num_outputs), bits(None, 3))
    return layer(lambda dtype: kind(**arguments), density=(density, takes, {}))


LIKELIHOODS = {
    "Bernoulli": _likelihood(models.Bernoulli, 3),
    "ContinuousBernoulli": _likelihood(models.ContinuousBernoulli, 3),
    "DiscretizedLogistic": _likelihood(models.DiscretizedLogistic, 6),
    "LogisticMixture": _likelihood(models.LogisticMixture, 20, num_components=2, num_channels=3),
}

OBJECTS = (
    {f"smoothing.{name}": case for name, case in SMOOTHINGS.items()}
    | {f"samplers.{name}": case for name, case in SAMPLERS.items()}
    | {f"priors.{name}": case for name, case in PRIORS.items()}
    | {f"models.{name}": case for name, case in LIKELIHOODS.items()}
    | {f"estimators.{name}": case for name, case in ESTIMATORS.items()}
    | NETWORKS
    | MODELS
)
