"""The systems of the papers, each a row that names its parts; `models.systems` builds the parts."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class System(NamedTuple):
    """The parts of a baseline, by name.

    Attributes:
      relaxation: the relaxation of the posterior's bits; None if the code of training is bits.
      prior: the distribution of the code, and how it is relaxed.
      kl: the estimator of log q - log p: at the sample, or in closed form.
      bound: how K samples are combined into one bound.
      beta: a column of `Betas`, or a number; None if the relaxation has a temperature instead.
      recipe: fields of `Recipe` that differ from those of the DVAE# paper.
      estimator: the estimator of the bound's gradient.
    """

    relaxation: str | None
    prior: str
    kl: str
    bound: str
    beta: str | float | None = None
    recipe: Mapping[str, Any] = MappingProxyType({})
    estimator: str = "reparameterized"

    @property
    def weighs_densities(self) -> bool:
        """Whether its importance weights are ratios of densities of zeta, reparameterized everywhere.

        GumBolt's proxy is no density, and the spike has an atom.
        """
        return (
            self.estimator == "reparameterized"
            and (self.kl, self.bound) == ("sampled", "importance_weighted")
            and self.relaxation != "spike_exponential"
        )


class EstimatorFacts(NamedTuple):
    """What a gradient estimator asks of a recipe.

    Attributes:
      smallest_k: least number of samples K of an image.
      pairs: whether the samples are pairs, so that K is even.
      one_group: whether the code must be a single group.
      bound: the name of the bound whose gradient it estimates; None for that of the system.
      of_bits: whether it draws bits, which not every code has.
    """

    smallest_k: int = 1
    pairs: bool = False
    one_group: bool = False
    bound: str | None = None
    of_bits: bool = False


ESTIMATORS = {
    "reparameterized": EstimatorFacts(),
    "doubly_reparameterized": EstimatorFacts(bound="importance_weighted"),
    "rloo": EstimatorFacts(smallest_k=2, bound="elbo", of_bits=True),
    "vimco": EstimatorFacts(smallest_k=2, bound="importance_weighted", of_bits=True),
    "disarm": EstimatorFacts(smallest_k=2, pairs=True, bound="elbo", of_bits=True),
    "rebar": EstimatorFacts(one_group=True, bound="elbo", of_bits=True),
}


def check_estimator(name: str, k: int, num_groups: int) -> None:
    """Checks that a gradient estimator can use K samples of a code of so many groups.

    Raises:
      ValueError: if it is unknown, or cannot.
    """
    if name not in ESTIMATORS:
        raise ValueError(
            f"estimator: expected one of {', '.join(ESTIMATORS)}, got {name!r}; register your own with "
            "dvae_tf.models.register_estimator"
        )
    facts = ESTIMATORS[name]
    if k < facts.smallest_k:
        raise ValueError(f"k: expected at least {facts.smallest_k} samples for {name}, got {k}")
    if facts.pairs and k % 2:
        raise ValueError(f"k: expected an even number of samples for {name}, which draws pairs, got {k}")
    if facts.one_group and num_groups > 1:
        raise ValueError(f"num_groups: expected 1 for {name}, got {num_groups}")


# GumBolt paper, Sec. 5, with Adam's default epsilon.
_GUMBOLT_STEPS = {"adam_epsilon": 1e-7, "lr_steps": ((0.0, 1.0), (0.6, 0.3), (0.75, 0.09), (0.95, 0.027))}
_GUMBOLT = {"temperature": 1 / 7, **_GUMBOLT_STEPS}

SYSTEMS = {
    "dvae_spike_exp": System("spike_exponential", "boltzmann", "dvae", "elbo", "spike_exp"),
    "dvaepp_exp": System("exponential", "boltzmann", "joint", "elbo", "pp_exp"),
    "dvaepp_logistic": System("logistic", "boltzmann", "joint", "elbo", 8.0),
    "dvaepp_power": System("power", "boltzmann", "joint", "elbo", "pp_power"),
    "dvaepp_directed": System("exponential", "directed", "bernoulli", "elbo", "pp_exp"),
    "dvaes_gi": System("shifted_gaussian", "gaussian_integral", "sampled", "importance_weighted", "gi"),
    "dvaes_gauss": System("gaussian", "overlapping", "sampled", "importance_weighted", "gauss"),
    "dvaes_exp": System("exponential", "overlapping", "sampled", "importance_weighted", "exp"),
    "dvaes_unexp": System("uniform_exponential", "overlapping", "sampled", "importance_weighted", "unexp"),
    "dvaes_power": System("power", "overlapping", "sampled", "importance_weighted", "power"),
    "gumbolt": System("concrete", "gumbolt", "proxy", "importance_weighted", None, _GUMBOLT),
    "gumbolt_nw": System(
        "concrete", "gumbolt", "proxy", "importance_weighted", None, _GUMBOLT | {"couplings": False}
    ),
    # Maddison et al. (2017): Concrete densities for posterior and prior, each with its own temperature.
    "concrete": System(
        "concrete",
        "relaxed_directed",
        "sampled",
        "importance_weighted",
        None,
        {"temperature": 2 / 3, "prior_temperature": 1 / 2},
    ),
    # Jang et al. (2017).
    "gumbel_softmax": System("concrete", "directed", "bernoulli", "elbo", None, {"temperature": 1 / 2}),
    # No bits: a Gaussian code of the same size, trained like GumBolt, which it is a baseline of.
    "gaussian": System("normal", "normal", "sampled", "importance_weighted", None, _GUMBOLT_STEPS),
    # Bits without relaxation.
    "rloo": System(None, "boltzmann", "sampled", "elbo", estimator="rloo"),
    "vimco": System(None, "boltzmann", "sampled", "importance_weighted", estimator="vimco"),
    "disarm": System(None, "boltzmann", "sampled", "elbo", estimator="disarm"),
    # The temperature is the initial one of its control variate.
    "rebar": System(
        "control_variate", "boltzmann", "sampled", "elbo", None, {"temperature": 1 / 2}, estimator="rebar"
    ),
}
BASELINES = tuple(SYSTEMS)

# Priors that are no Boltzmann machine.
DIRECTED_PRIORS = ("directed", "relaxed_directed", "normal")

# Graphs of the Boltzmann machine by name: that of a restricted one, and those of quantum annealers.
GRAPHS = ("bipartite", "chimera", "pegasus", "zephyr")

# Samplers of the negative phase: name -> what it stands for.
SAMPLERS = {
    "pcd": "persistent contrastive divergence",
    "pa": "population annealing",
    "pt": "parallel tempering",
}


class LikelihoodFacts(NamedTuple):
    """What a recipe needs to know of a likelihood of the pixels.

    Attributes:
      pixels: what an image consists of: "bits", "levels" in [0, 1], or "8-bit levels", which are n / 255.
    """

    pixels: str


LIKELIHOODS = {
    "bernoulli": LikelihoodFacts("bits"),
    "continuous_bernoulli": LikelihoodFacts("levels"),
    "discretized_logistic": LikelihoodFacts("levels"),
    "logistic_mixture": LikelihoodFacts("8-bit levels"),
}


def register_system(name: str, system: System) -> None:
    """Adds a row to `SYSTEMS`, which recipes and programs then take as a baseline.

    Its parts are those of the library, or registered by `dvae_tf.models`.

    Args:
      name: the name of the baseline.
      system: its parts, by name.

    Raises:
      ValueError: if a published system has this name.
    """
    if name in BASELINES:
        raise ValueError(f"name: expected a name that no published system has, got {name!r}")
    SYSTEMS[name] = system
