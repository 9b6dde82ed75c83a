"""A mixture of Bernoullis fitted by EM: the yardstick that a deep model has to beat."""

import numpy as np
from scipy.special import logsumexp

_FLOOR = 0.01
_COMPONENTS = (10, 20, 40, 80, 160)


def fitted_test_nll(
    train: np.ndarray, validation: np.ndarray, test: np.ndarray, seed: int, copies: int = 10
) -> tuple[float, float, int]:
    """Fits mixtures of several sizes, chooses one by validation, and measures it.

    Args:
      train: [N, X] pixel probabilities (or bits); each image is binarised `copies` times.
      validation: [M, X] bits.
      test: [T, X] bits.
      seed: of the binarisation and of the starts.
      copies: binarisations of each training image.

    Returns:
      `(nll, standard_error, components)`: test negative log-likelihood in nats, its standard error over
      images, and the size chosen.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    bits = np.concatenate([rng.random(train.shape) < train for _ in range(copies)])
    bits = bits.astype(np.float64)
    fits = {components: _fit(bits, components, rng) for components in _COMPONENTS}
    best = min(fits, key=lambda components: -_log_likelihood(validation, *fits[components]).mean())
    nll = -_log_likelihood(test, *fits[best])
    return float(nll.mean()), float(nll.std(ddof=1) / np.sqrt(len(nll))), best


def _fit(bits: np.ndarray, components: int, rng: np.random.Generator) -> tuple:
    """EM from random images: (log weights [C], means [C, X])."""
    means = 0.25 + 0.5 * bits[rng.choice(len(bits), components, replace=False)]
    log_weights = np.full(components, -np.log(components))
    for _ in range(50):
        log_joint = _log_joint(bits, log_weights, means)
        shares = np.exp(log_joint - logsumexp(log_joint, 1, keepdims=True))
        totals = shares.sum(0) + 1e-9
        log_weights = np.log(totals / totals.sum())
        means = np.clip(shares.T @ bits / totals[:, np.newaxis], _FLOOR, 1 - _FLOOR)
    return log_weights, means


def _log_joint(bits: np.ndarray, log_weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Log p(x, component), [N, C]."""
    log_odds = np.log(means) - np.log1p(-means)
    return bits @ log_odds.T + np.log1p(-means).sum(1) + log_weights


def _log_likelihood(bits: np.ndarray, log_weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    return logsumexp(_log_joint(bits, log_weights, means), 1)
