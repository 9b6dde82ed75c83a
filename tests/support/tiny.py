"""A model small enough to be enumerated in full, and its exact likelihoods in float64 NumPy."""

import itertools

import numpy as np

from dvae_tf import config, models

NUM_PIXELS = 6
STRUCTURES = {
    "tiny": config.Structure(1, 6, (8,)),
    "tiny-lin": config.Structure(1, 6, ()),
    "tiny-2": config.Structure(2, 3, (8,)),
    "tiny-4": config.Structure(4, 2, (8,)),
    "tiny-gauss": config.Structure(1, 2, (8,)),
    "tiny-local": config.Structure(1, 6, (8,), (), 1, 1),
    "tiny-local-2": config.Structure(2, 3, (8,), (), 2, 2),
    "tiny-conv": config.Structure(2, 3, (8,), (2, 4), 2, 2),
}


def add_tiny_structures(monkeypatch):
    """Adds the tiny structures and a 2x3-pixel dataset to the tables."""
    for name, structure in STRUCTURES.items():
        monkeypatch.setitem(config.STRUCTURES, name, structure)
    monkeypatch.setitem(config.BETA, ("mnist"), config.Betas(*[20.0] * 8))
    monkeypatch.setitem(config.DATASETS, "tiny", config.DatasetFacts(False))


def recipe(struct="tiny", k=1, baseline="dvaes_power", **changes):
    changes = {"num_train_iter": 100, "num_chains": 20, "num_sweeps": 3, **changes}
    return config.recipe("tiny", struct, baseline, k, **changes)


def struct_of(baseline):
    """Two groups, where the baseline's estimator takes them."""
    return "tiny" if config.ESTIMATORS[config.SYSTEMS[baseline].estimator].one_group else "tiny-2"


def rough_model(struct="tiny", seed=0, scale=1.0, **changes):
    """A model whose weights are far from their start: a code with couplings, a decoder that matters."""
    model = models.DVAE(recipe(struct, seed=seed, **changes), np.full(NUM_PIXELS, 0.4))
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        value = np.asarray(variable)
        # A posterior that is nearly flat keeps the importance weights moderate.
        width = scale * (0.1 if "posterior" in variable.path else 0.7)
        variable.assign(value + width * rng.normal(size=value.shape).astype(value.dtype))
    return model


def all_bits(count: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=count)))


def prior_log_probs(model) -> np.ndarray:
    """log p(z) of all codes, float64, by enumeration."""
    if not hasattr(model.prior, "rbm"):
        z = all_bits(model.recipe.structure.num_units)
        logits = np.asarray(model.prior.binary().logits(z.astype(np.float32)), np.float64)
        return (z * logits - np.logaddexp(0, logits)).sum(1)
    left, right, weights = (np.asarray(each, np.float64) for each in model.prior.rbm)
    z = all_bits(len(left) + len(right))
    z_left, z_right = z[:, : len(left)], z[:, len(left) :]
    negative_energy = z_left @ left + z_right @ right + ((z_left @ weights) * z_right).sum(1)
    return negative_energy - np.logaddexp.reduce(negative_energy)


def exact_log_likelihood(model, x: np.ndarray) -> np.ndarray:
    """log p(x) = log sum over z of p(z) p(x | z), float64."""
    log_prior = prior_log_probs(model)
    z = all_bits(model.recipe.structure.num_units)
    means = np.clip(np.asarray(model.decode(z.astype(np.float32)), np.float64), 1e-12, 1 - 1e-12)
    log_pixels = x @ np.log(means).T + (1 - x) @ np.log1p(-means).T
    return np.logaddexp.reduce(log_pixels + log_prior, axis=1)
