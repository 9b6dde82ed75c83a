"""Float64 NumPy oracles: enumeration, closed forms, statistics. `smoothing_reference` has the smoothings.

Nothing here uses TensorFlow or the library. Machines are small enough to enumerate every state; quantities
are in nats; the names are those of the library. What `runners.gradient_study` needs as well is defined there.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from runners.exact_machine import Machine, binary_states, joint_log_probs, relaxed_terms
from runners.exact_machine import bound_at as bound_at
from runners.exact_machine import energy as energy
from runners.exact_machine import log_partition as log_partition
from runners.exact_machine import mean_field as mean_field
from runners.exact_machine import relaxed_log_prob as relaxed_log_prob
from runners.exact_machine import symmetric_couplings as symmetric_couplings

# --------------------------------------------------------------------------- machines


def random_machine(num_left, num_right, seed, stddev=1.0, bias_stddev=None):
    """A machine with normal parameters, representable in float32 as well."""
    rng = np.random.default_rng(seed)
    bias_stddev = stddev if bias_stddev is None else bias_stddev
    machine = Machine(
        rng.normal(0, bias_stddev, num_left),
        rng.normal(0, bias_stddev, num_right),
        rng.normal(0, stddev, (num_left, num_right)),
    )
    return machine.cast(np.float32).cast(np.float64)


def state_numbers(states):
    """The row of each binary vector [..., n] in `binary_states(n)`."""
    states = np.asarray(states)
    powers = 2 ** np.arange(states.shape[-1] - 1, -1, -1)
    return (states.astype(np.int64) * powers).sum(-1)


def _log_weights_by_left(machine):
    left = binary_states(machine.num_left)
    fields = left @ machine.weights + machine.right_bias
    return left, fields, left @ machine.left_bias + np.logaddexp(0, fields).sum(1)


def log_partition_by_left(machine):
    """log Z by enumeration of the left side alone, up to about 18 units; the right side is a product."""
    return special.logsumexp(_log_weights_by_left(machine)[2])


def means_by_left(machine):
    """E[z], [D], by the same enumeration."""
    left, fields, log_weights = _log_weights_by_left(machine)
    probs = special.softmax(log_weights)
    return np.concatenate([probs @ left, probs @ special.expit(fields)])


class Moments(NamedTuple):
    """E[z_l], E[z_r], E[z_l z_r^T]."""

    left: np.ndarray
    right: np.ndarray
    products: np.ndarray


def moments(machine):
    """First and second moments by enumeration of both sides."""
    probs = np.exp(joint_log_probs(machine)[0])
    left, right = binary_states(machine.num_left), binary_states(machine.weights.shape[1])
    return Moments(probs.sum(1) @ left, probs.sum(0) @ right, left.T @ probs @ right)


def left_log_marginals(machine, left):
    """f(z_l) = log sum over z_r of exp(-E(z)), by enumeration of the right side: [..., L] gives [...]."""
    left = np.asarray(left, np.float64)
    right = binary_states(machine.weights.shape[1])
    terms = (left @ machine.weights + machine.right_bias) @ right.T
    return left @ machine.left_bias + special.logsumexp(terms, axis=-1)


def tempered(machine, t, base_logits=None):
    """The machine with energy t E(z) - (1 - t) c . z, with c = 0 by default."""
    c = np.zeros(machine.num_units) if base_logits is None else base_logits
    num_left = machine.num_left
    return Machine(
        t * machine.left_bias + (1 - t) * c[:num_left],
        t * machine.right_bias + (1 - t) * c[num_left:],
        t * machine.weights,
    )


def machine_of_spins(left_field, right_field, couplings):
    """The bits z = (1 + s) / 2 of spins with E(s) = -h_l . s_l - h_r . s_r - s_l^T J s_r, from differences.

    A parameter of a multilinear function of bits is the change of -E as its bits change from 0 to 1.
    """

    def negative_energy(left, right):
        s_l, s_r = 2 * left - 1, 2 * right - 1
        return left_field @ s_l + right_field @ s_r + s_l @ couplings @ s_r

    ones_left, ones_right = (np.eye(len(field)) for field in (left_field, right_field))
    no_left, no_right = np.zeros(len(left_field)), np.zeros(len(right_field))
    nothing = negative_energy(no_left, no_right)
    left_bias = np.array([negative_energy(i, no_right) - nothing for i in ones_left])
    right_bias = np.array([negative_energy(no_left, j) - nothing for j in ones_right])
    both = np.array([[negative_energy(i, j) - nothing for j in ones_right] for i in ones_left])
    return Machine(left_bias, right_bias, both - left_bias[:, np.newaxis] - right_bias)


def planted_machine(num_left, num_right, coupling, field, seed):
    """Two modes, a random pattern and its opposite: spins aligned with the pattern by equal couplings.

    Returns:
      The machine, and the pattern of bits [L + R] that the field favors.
    """
    pattern = np.random.default_rng(seed).integers(0, 2, num_left + num_right).astype(np.float64)
    s_l, s_r = np.split(2 * pattern - 1, [num_left])
    machine = machine_of_spins(field * s_l, field * s_r, coupling * np.outer(s_l, s_r))
    return machine.cast(np.float32).cast(np.float64), pattern


def exact_draws(machine, num_samples, seed):
    """Independent draws of z [num_samples, D] from the table of all states."""
    probs = np.exp(joint_log_probs(machine)[0]).ravel()
    rng = np.random.default_rng(seed)
    numbers = rng.choice(probs.size, num_samples, p=probs / probs.sum())
    return binary_states(machine.num_units)[numbers]


def uniform_couplings_moments(num_left, num_right, left_bias, right_bias, coupling):
    """log Z and moments if all biases of a side and all couplings are equal.

    Only the number of left ones matters: Z = sum_k C(L, k) e^(a k) (1 + e^(b + w k))^R.
    """
    count = np.arange(num_left + 1)
    field = right_bias + coupling * count
    log_terms = (
        special.gammaln(num_left + 1)
        - special.gammaln(count + 1)
        - special.gammaln(num_left - count + 1)
        + left_bias * count
        + num_right * np.logaddexp(0.0, field)
    )
    log_total = special.logsumexp(log_terms)
    probs = np.exp(log_terms - log_total)
    fires = special.expit(field)
    return log_total, Moments(
        np.full(num_left, probs @ count / num_left),
        np.full(num_right, probs @ fires),
        np.full((num_left, num_right), probs @ (count * fires) / num_left),
    )


def paired_moments(left_bias, right_bias, couplings):
    """log Z and moments if left unit i couples only to right unit i: independent pairs."""
    pairs = np.stack([np.zeros_like(left_bias), left_bias, right_bias])
    log_terms = np.concatenate([pairs, [left_bias + right_bias + couplings]])
    log_totals = special.logsumexp(log_terms, axis=0)
    _, only_left, only_right, both = np.exp(log_terms - log_totals)
    left, right = only_left + both, only_right + both
    products = np.outer(left, right)
    np.fill_diagonal(products, both)
    return log_totals.sum(), Moments(left, right, products)


# --------------------------------------------------------------------------- Bernoulli


def bernoulli_entropy(logits):
    """-q log q - (1-q) log(1-q), nats, from the two log-probabilities."""
    logits = np.asarray(logits, np.float64)
    log_q, log_not_q = special.log_expit(logits), special.log_expit(-logits)
    return -(np.exp(log_q) * log_q + np.exp(log_not_q) * log_not_q)


# --------------------------------------------------------------------------- relaxed machines


def relaxed_posterior_moments(machine, smoothing, zeta):
    """Moments of p(z | zeta) by enumeration: [N, D] gives fields [N, L], [N, R], [N, L, R]."""
    terms = relaxed_terms(machine, smoothing, zeta)
    probs = np.exp(terms - special.logsumexp(terms, axis=1, keepdims=True))
    z = binary_states(machine.num_units)
    left, right = z[:, : machine.num_left], z[:, machine.num_left :]
    return Moments(probs @ left, probs @ right, np.einsum("ns,si,sj->nij", probs, left, right))


def relaxed_draws(machine, smoothing, num_samples, seed):
    """Independent draws of zeta [num_samples, D]: z from the table, zeta by its inverse CDF."""
    z = exact_draws(machine, num_samples, seed)
    rho = np.random.default_rng((seed, 1)).random(z.shape)
    return np.where(z > 0, smoothing.quantile(rho, 1), smoothing.quantile(rho, 0))


# --------------------------------------------------------------------------- importance weighting


def importance_weighted_bound(log_joint, log_posterior, num_importance_samples):
    """E over K independent z ~ q of log (1/K) sum_k p(x, z_k) / q(z_k | x), over all S^K tuples.

    Args:
      log_joint: [S], log p(x, z) of every z.
      log_posterior: [S], log q(z | x) of every z, normalized.
      num_importance_samples: K; S^K must be small.
    """
    log_joint, log_posterior = np.asarray(log_joint), np.asarray(log_posterior)
    total = 0.0
    for chosen in itertools.product(range(log_joint.size), repeat=num_importance_samples):
        chosen = list(chosen)
        log_weights = log_joint[chosen] - log_posterior[chosen]
        log_mean = special.logsumexp(log_weights) - np.log(num_importance_samples)
        total += np.exp(log_posterior[chosen].sum()) * log_mean
    return total


# --------------------------------------------------------------------------- statistics


def finite_difference(function, argument, step=1e-5):
    """Central differences of a scalar function in every entry of an array."""
    argument = np.array(argument, np.float64)
    gradient = np.zeros_like(argument)
    for index in np.ndindex(argument.shape):
        ends = []
        for sign in (1, -1):
            moved = argument.copy()
            moved[index] += sign * step
            ends.append(function(moved))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def z_scores(values, expected, axis=0):
    """(mean - expected) / standard error, for independent values along `axis`.

    If all values agree the standard error is 0: the score is 0 if the mean is right, else huge.
    """
    values = np.asarray(values, np.float64)
    difference = values.mean(axis) - expected
    error = values.std(axis, ddof=1) / np.sqrt(values.shape[axis])
    exact = np.isclose(difference, 0, atol=1e-12)
    return np.where(exact, 0.0, difference / np.where(exact, 1.0, np.maximum(error, 1e-300)))


def chi_square_p_value(numbers, probs):
    """p-value of cell numbers against probabilities; cells expected below 8 are merged."""
    probs = np.asarray(probs, np.float64).ravel()
    counts = np.bincount(np.asarray(numbers).ravel(), minlength=probs.size).astype(np.float64)
    expected = probs / probs.sum() * counts.sum()
    rare = expected < 8
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] < 8:
        counts[-2:], expected[-2:] = counts[-2:].sum() / 2, expected[-2:].sum() / 2
    return stats.chisquare(counts, expected).pvalue


def weighted_p_value(frequencies, probs):
    """p-value of independent unnormalized frequencies [N, S] whose mean is proportional to `probs`.

    Each row holds weights by state, of one weighted draw or of a whole population with its Z. The test is
    Hotelling's, of the mean of (row - its sum times probs); states expected in fewer than 50 rows are merged,
    as the covariance is that of the rows.
    """
    probs = np.asarray(probs, np.float64).ravel()
    frequencies = np.asarray(frequencies, np.float64)
    rows = len(frequencies)
    frequencies = frequencies / frequencies.sum(1).mean()
    rare = probs * rows < 50
    frequencies = np.concatenate([frequencies[:, ~rare], frequencies[:, rare].sum(1, keepdims=True)], 1)
    probs = np.append(probs[~rare], probs[rare].sum())
    # The last state is determined by the others.
    keep = np.arange(len(probs)) != np.argmax(probs)
    keep &= probs * rows >= 50
    differences = (frequencies - frequencies.sum(1, keepdims=True) * probs)[:, keep]
    mean, count = differences.mean(0), keep.sum()
    statistic = rows * mean @ np.linalg.solve(np.atleast_2d(np.cov(differences.T)), mean)
    return stats.f(count, rows - count).sf(statistic * (rows - count) / (count * (rows - 1)))


def ks_distance(samples, cdf, between=(-np.inf, np.inf)):
    """sqrt(n) times the Kolmogorov-Smirnov distance, over a part of the line.

    It exceeds 2.2 with a probability of 1e-4 for draws of the distribution (less on a part of the line).
    Of draws outside the part only the number matters, because floats may not resolve them.
    """
    samples = np.sort(np.asarray(samples, np.float64).ravel())
    size = samples.size
    low, high = between
    first, last = np.searchsorted(samples, low, "left"), np.searchsorted(samples, high, "right")
    ranks = np.arange(first, last)
    levels = cdf(samples[first:last])
    distances = [np.abs(levels - ranks / size).max(), np.abs(levels - (ranks + 1) / size).max()]
    for end, rank in ((low, first), (high, last)):
        if np.isfinite(end):
            distances.append(abs(rank / size - float(cdf(np.float64(end)))))
    return np.sqrt(size) * max(distances)
