r"""A mixture of Bernoullis fitted by expectation maximization: the baseline that a deep model must beat.

$$ p(x) = \sum_c \pi_c \prod_i \mu_{ci}^{x_i} (1 - \mu_{ci})^{1 - x_i} $$
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

_FLOOR = 0.002
_BATCH = 10_000


class Mixture(NamedTuple):
    """A fitted mixture: log weights [C] and pixel means [C, X]."""

    log_weights: np.ndarray
    means: np.ndarray

    def nll(self, x: np.ndarray) -> np.ndarray:
        """The negative log-likelihood of binary images [N, X], exact, float64 [N], nats."""
        batches = (x[start : start + _BATCH] for start in range(0, len(x), _BATCH))
        return np.concatenate([-logsumexp(self.log_joint(batch), 1) for batch in batches])

    def log_joint(self, x: np.ndarray) -> np.ndarray:
        """log p(x, c), [N, C]; nats."""
        log_odds = np.log(self.means) - np.log1p(-self.means)
        products = (x @ log_odds.T.astype(np.float32)).astype(np.float64)
        return products + np.log1p(-self.means).sum(1) + self.log_weights


def fit(
    train: np.ndarray,
    validation: np.ndarray,
    seed: int,
    num_components: tuple[int, ...] = (50, 100, 200),
    num_iterations: int = 15,
) -> Mixture:
    """Fits mixtures of several sizes, and returns the best by validation NLL.

    Args:
      train: [N, X], binary images.
      validation: [M, X], binary images.
      seed: of the initial components.
      num_components: the sizes to choose from.
      num_iterations: of expectation maximization.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    mixtures = [_fit(train, count, num_iterations, rng) for count in num_components]
    return min(mixtures, key=lambda mixture: mixture.nll(validation).mean())


def _fit(x: np.ndarray, num_components: int, num_iterations: int, rng: np.random.Generator) -> Mixture:
    """Expectation maximization; the initial means are random images, shrunk toward 1/2."""
    chosen = rng.choice(len(x), num_components, replace=False)
    mixture = Mixture(
        np.full(num_components, -np.log(num_components)), 0.25 + 0.5 * x[chosen].astype(np.float64)
    )
    for _ in range(num_iterations):
        totals, sums = np.full(num_components, 1e-9), np.zeros(mixture.means.shape)
        for start in range(0, len(x), _BATCH):
            batch = x[start : start + _BATCH]
            log_joint = mixture.log_joint(batch)
            responsibilities = np.exp(log_joint - logsumexp(log_joint, 1, keepdims=True))
            totals += responsibilities.sum(0)
            sums += responsibilities.T.astype(np.float32) @ batch
        means = np.clip(sums / totals[:, np.newaxis], _FLOOR, 1 - _FLOOR)
        mixture = Mixture(np.log(totals / totals.sum()), means)
    return mixture
