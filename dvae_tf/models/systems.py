"""Builds the parts of a system that the names in `config.SYSTEMS` stand for, from a recipe."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from .. import kl, objectives, priors, smoothing
from ..config import Recipe
from ..networks import Network
from ..samplers import ParallelTempering, PersistentGibbs, PopulationAnnealing, Sampler

_SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "pcd": PersistentGibbs,
    "pa": PopulationAnnealing,
    "pt": ParallelTempering,
}


_Relaxations = Callable[[Recipe], Sequence[smoothing.Relaxation]]


def _shared(relaxation: Callable[[Any], smoothing.Relaxation]) -> _Relaxations:
    """One relaxation for all groups."""
    return lambda recipe: [relaxation(recipe)] * recipe.structure.num_groups


def _smoothing(kind: Callable[[Any], smoothing.Smoothing]) -> _Relaxations:
    """One smoothing for all groups, with the sharpness of the recipe."""
    return _shared(lambda recipe: kind(recipe.beta))


def _shifted_gaussians(recipe: Recipe) -> Sequence[smoothing.Relaxation]:
    """A shifted Gaussian for each group, which has trainable standard deviations."""
    return [smoothing.ShiftedGaussian() for _ in range(recipe.structure.num_groups)]


# recipe -> one relaxation for each group of the posterior.
RELAXATIONS: dict[str, _Relaxations] = {
    "spike_exponential": _smoothing(smoothing.SpikeExponential),
    "exponential": _smoothing(smoothing.Exponential),
    "logistic": _smoothing(smoothing.Logistic),
    "uniform_exponential": _smoothing(smoothing.UniformExponential),
    "power": _smoothing(smoothing.Power),
    "gaussian": _smoothing(smoothing.Gaussian),
    "shifted_gaussian": _shifted_gaussians,
    "concrete": _shared(lambda recipe: smoothing.Concrete(recipe.temperature)),
}


def _machine(kind: Callable[..., priors.Prior], recipe: Recipe, **kwargs: Any) -> priors.Prior:
    num_units = recipe.structure.num_units
    return kind(
        num_units // 2,
        num_units - num_units // 2,
        sampler=_SAMPLERS[recipe.sampler](recipe.num_chains // recipe.num_replicas, recipe.num_sweeps),
        num_replicas=recipe.num_replicas,
        num_tracking_chains=recipe.num_tracking_chains,
        couplings=recipe.couplings,
        weights_regularizer=keras.regularizers.L2(recipe.weight_decay / 2),
        seed=recipe.seed,
        name="prior",
        **kwargs,
    )


def _directed(
    recipe: Recipe, network: Callable[..., Network], relaxation: smoothing.Relaxation | None = None
) -> priors.Prior:
    units = recipe.structure.units_per_group
    conditionals = [
        network([group * units], units, f"prior_{group}") for group in range(1, recipe.structure.num_groups)
    ]
    return priors.DirectedPrior(units, conditionals, relaxation, name="prior")


# (recipe, the posterior's relaxation, builder of networks) -> the layer that owns the prior.
PRIORS: dict[str, Callable[[Any, smoothing.Relaxation, Callable[..., Network]], priors.Prior]] = {
    "boltzmann": lambda recipe, relaxation, network: _machine(priors.BoltzmannPrior, recipe),
    "overlapping": lambda recipe, relaxation, network: _machine(
        priors.BoltzmannPrior,
        recipe,
        smoothing=relaxation,
        num_mean_field_iterations=recipe.num_mean_field_iterations,
    ),
    "gaussian_integral": lambda recipe, relaxation, network: _machine(
        priors.GaussianIntegralPrior, recipe, beta=recipe.beta
    ),
    "gumbolt": lambda recipe, relaxation, network: _machine(priors.GumBoltPrior, recipe),
    "directed": lambda recipe, relaxation, network: _directed(recipe, network),
    "relaxed_directed": lambda recipe, relaxation, network: _directed(
        recipe, network, smoothing.Concrete(recipe.prior_temperature)
    ),
}

# (samples of the posterior, prior) -> log q - log p, [K, B].
KL_TERMS: dict[str, Callable[[Any, Any], tf.Tensor]] = {
    "sampled": kl.sampled,
    "proxy": kl.proxy,
    "bernoulli": kl.bernoulli,
    "joint": kl.joint,
    "dvae": kl.dvae,
}

# (log p(x | zeta) [K, B], log q - log p [K, B], weight of the latter) -> [B].
BOUNDS: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor | float], tf.Tensor]] = {
    "elbo": objectives.elbo,
    "importance_weighted": objectives.importance_weighted_bound,
}
