"""Builds the parts of a system that the names in `config.SYSTEMS` and in recipes stand for.

Names of your own parts are registered with `register_relaxation`, `register_prior`, `register_sampler`,
`register_likelihood` and `register_estimator`, and systems made of them with `config.register_system`;
recipes and programs then take them as they take the library's. Registering a name again replaces your earlier
part.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from .. import config, estimators, graphs, kl, objectives, priors, smoothing
from ..config import Recipe
from ..networks import Network
from ..samplers import ParallelTempering, PersistentGibbs, PopulationAnnealing, Sampler
from .likelihoods import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Likelihood, LogisticMixture

# (number of chains, number of sweeps) -> the sampler of the negative phase.
SAMPLERS: dict[str, Callable[[int, int], Sampler]] = {
    "pcd": PersistentGibbs,
    "pa": PopulationAnnealing,
    "pt": ParallelTempering,
}

# Distributions of an image, given the outputs of the decoder.
LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Bernoulli(),
    "continuous_bernoulli": ContinuousBernoulli(),
    "discretized_logistic": DiscretizedLogistic(),
    "logistic_mixture": LogisticMixture(),
}

# The name of a random bipartite graph: its number of edges.
_RANDOM = re.compile(r"random-(\d{1,9})")

_Relaxations = Callable[[Recipe], Sequence[smoothing.Relaxation]]


def _shared(relaxation: Callable[[Any], smoothing.Relaxation]) -> _Relaxations:
    """One relaxation for all groups."""
    return lambda recipe: [relaxation(recipe)] * recipe.structure.num_groups


def _smoothing(kind: Callable[[Any], smoothing.Smoothing]) -> _Relaxations:
    """One smoothing for all groups, with the sharpness of the recipe."""
    return _shared(lambda recipe: kind(recipe.beta))


def _shifted_gaussians(recipe: Recipe) -> Sequence[smoothing.Relaxation]:
    """A shifted Gaussian for each group, which has trainable standard deviations."""
    # Keras would number the names by what else the process has made, and files store variables by name.
    names = [
        "shifted_gaussian",
        *(f"shifted_gaussian_{group}" for group in range(1, recipe.structure.num_groups)),
    ]
    return [smoothing.ShiftedGaussian(name=name) for name in names]


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
    "normal": _shared(lambda recipe: smoothing.Normal()),
    # Files store its variables by name.
    "control_variate": _shared(
        lambda recipe: estimators.ControlVariate(recipe.temperature, name="control_variate")
    ),
}


def registered(table: dict[str, Any], kind: str, name: str) -> Any:
    """A part by name.

    Raises:
      ValueError: if there is no such part.
    """
    if name not in table:
        raise ValueError(
            f"{kind}: expected one of {', '.join(table)}, got {name!r}; register your own with "
            f"dvae_tf.models.register_{kind}"
        )
    return table[name]


def graph_of(recipe: Recipe) -> graphs.Graph | None:
    """The graph of the machine that a recipe names, of as many units as its code; None for a restricted one.

    Raises:
      ValueError: if the recipe names a file that is none of edges between those units, a family whose package
        is not installed, or more random edges than there are pairs.
      FileNotFoundError: if there is no such file.
    """
    num_units = recipe.structure.num_units
    if recipe.graph == Recipe.graph:
        return None
    if random := _RANDOM.fullmatch(recipe.graph):
        return graphs.random_bipartite(num_units // 2, num_units - num_units // 2, int(random[1]))
    if recipe.graph in config.GRAPHS:
        try:
            return graphs.fitted(recipe.graph, num_units)
        except ImportError as error:
            raise ValueError(f"graph: {error}") from error
    return graphs.read_edges(recipe.graph, num_units)


def graph_digest(recipe: Recipe, parts: Collection[str]) -> str | None:
    """The digest of the graph of `graph_of`; None for a restricted machine or a prior of the user's own.

    Args:
      recipe: the recipe.
      parts: the names of the user's own parts.
    """
    graph = None if "prior" in parts else graph_of(recipe)
    return None if graph is None else graph.digest


def _machine(
    kind: Callable[..., priors.Prior], recipe: Recipe, sampler: Sampler | None, **kwargs: Any
) -> priors.Prior:
    graph = graph_of(recipe)
    num_units, num_chains = recipe.structure.num_units, recipe.num_chains // recipe.num_replicas
    if sampler is None:
        sampler = SAMPLERS[recipe.sampler](num_chains, recipe.num_sweeps)
    return kind(
        num_left=None if graph else num_units // 2,
        num_right=None if graph else num_units - num_units // 2,
        graph=graph,
        sampler=sampler,
        num_replicas=recipe.num_replicas,
        num_tracking_chains=recipe.num_tracking_chains,
        couplings=recipe.couplings,
        weights_regularizer=keras.regularizers.L2(recipe.weight_decay / 2),
        seed=recipe.seed,
        rao_blackwellized=recipe.rao_blackwellized,
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


class PriorParts(NamedTuple):
    """What a prior is built from.

    Attributes:
      recipe: of the model.
      relaxation: the relaxation of the posterior's first group; None for a code of bits.
      network: makes a network with the hidden layers of the recipe:
        `network(input_sizes, num_outputs, name)`.
      sampler: your own sampler of the negative phase; None for that of the recipe.
    """

    recipe: Any
    relaxation: smoothing.Relaxation | None
    network: Callable[..., Network]
    sampler: Sampler | None


# parts -> the layer that owns the prior.
PRIORS: dict[str, Callable[[PriorParts], priors.Prior]] = {
    "boltzmann": lambda parts: _machine(priors.BoltzmannPrior, parts.recipe, parts.sampler),
    "overlapping": lambda parts: _machine(
        priors.BoltzmannPrior,
        parts.recipe,
        parts.sampler,
        smoothing=parts.relaxation,
        num_mean_field_iterations=parts.recipe.num_mean_field_iterations,
    ),
    "gaussian_integral": lambda parts: _machine(
        priors.GaussianIntegralPrior, parts.recipe, parts.sampler, beta=parts.recipe.beta
    ),
    "gumbolt": lambda parts: _machine(priors.GumBoltPrior, parts.recipe, parts.sampler),
    "normal": lambda parts: priors.GaussianPrior(parts.recipe.structure.num_units, name="prior"),
    "directed": lambda parts: _directed(parts.recipe, parts.network),
    "relaxed_directed": lambda parts: _directed(
        parts.recipe, parts.network, smoothing.Concrete(parts.recipe.prior_temperature)
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

_Estimator = Callable[[estimators.BoundParts], estimators.RelaxedBound]

# parts of a bound -> the bound with an estimate of its gradient.
ESTIMATORS: dict[str, _Estimator] = {
    "reparameterized": estimators.reparameterized,
    "doubly_reparameterized": estimators.doubly_reparameterized,
    "rloo": estimators.rloo,
    "vimco": estimators.vimco,
    "disarm": estimators.disarm,
    "rebar": estimators.rebar,
}


# The names of the library's own parts.
_TAKEN = frozenset().union(RELAXATIONS, PRIORS, SAMPLERS, LIKELIHOODS, ESTIMATORS)


def _register(table: dict[str, Any], name: str, part: Any) -> None:
    if not isinstance(name, str) or not name or name in _TAKEN:
        raise ValueError(f"name: expected a name that no part of the library has, got {name!r}")
    table[name] = part


def register_relaxation(name: str, build: _Relaxations) -> None:
    """Names a relaxation of the bits, for the rows of `config.register_system`.

    Args:
      name: the value of `System.relaxation`.
      build: from a recipe to the relaxation of each group, in a list; `lambda recipe:
        [MySmoothing(recipe.beta)] * recipe.structure.num_groups` shares one among all.

    Raises:
      ValueError: if a part of the library has this name.
    """
    _register(RELAXATIONS, name, build)


def register_prior(name: str, build: Callable[[PriorParts], priors.Prior]) -> None:
    """Names a prior, for the rows of `config.register_system`.

    Args:
      name: the value of `System.prior`.
      build: from `PriorParts` to the layer.

    Raises:
      ValueError: if a part of the library has this name.
    """
    _register(PRIORS, name, build)


def register_sampler(name: str, build: Callable[[int, int], Sampler]) -> None:
    """Names a sampler of the negative phase, for `sampler` of recipes.

    Args:
      name: the value of `Recipe.sampler`.
      build: from the numbers of chains and of sweeps to the sampler, such as the class of your sampler.

    Raises:
      ValueError: if a part of the library has this name.
    """
    _register(SAMPLERS, name, build)
    config.SAMPLERS[name] = "your own"


def register_likelihood(name: str, likelihood: Likelihood) -> None:
    """Names a likelihood of the pixels, for `likelihood` of recipes.

    Args:
      name: the value of `Recipe.likelihood`.
      likelihood: the likelihood.

    Raises:
      ValueError: if a part of the library has this name.
    """
    _register(LIKELIHOODS, name, likelihood)
    config.LIKELIHOODS[name] = config.LikelihoodFacts(likelihood.pixels)


def register_estimator(name: str, estimate: _Estimator, facts: config.EstimatorFacts | None = None) -> None:
    """Names an estimator of the bound's gradient, for the rows of `config.register_system`.

    Args:
      name: the value of `System.estimator`.
      estimate: from `estimators.BoundParts` to the bound.
      facts: what it asks of recipes; None if it takes any.

    Raises:
      ValueError: if a part of the library has this name.
    """
    _register(ESTIMATORS, name, estimate)
    config.ESTIMATORS[name] = facts or config.EstimatorFacts()
