"""Bounds of models with local variables, exactly: those of `runners.exact_model`, and a quadrature over y.

Local groups are of one variable each; networks are linear.
"""

import numpy as np
from scipy import special, stats

from runners import exact_model as exact
from support.tiny import all_bits, prior_log_probs


def scale(raw):
    """The scale that a network's number stands for."""
    return 0.02 + 0.98 * np.logaddexp(0, raw) / np.log(2)


def nodes(parameters, x, grid, num_nodes):
    """Every node of the bits' posterior, with nodes of y.

    Returns log weights, codes, log q(y) - log p(y), and the index of the node of the bits.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    log_weights = np.log(weights / weights.sum())
    code, log_weight, ratio = grid.zeta, grid.log_weight, np.zeros(len(grid.zeta))
    index, group = np.arange(len(code)), 0
    while f"local_prior_{group}/kernel" in parameters:
        of = {name: parameters[f"local_{name}"] for name in (f"prior_{group}/kernel", f"prior_{group}/bias")}
        prior = code @ of[f"prior_{group}/kernel"] + of[f"prior_{group}/bias"]
        name = f"local_encoder_{group}"
        outputs = (
            x @ parameters[f"{name}/x"] + code @ parameters[f"{name}/before"] + parameters[f"{name}/bias"]
        )
        mean, width = prior[:, 0], scale(prior[:, 1])
        shifted, narrower = mean + width * outputs[:, 0], width * scale(outputs[:, 1])
        y = shifted[:, np.newaxis] + narrower[:, np.newaxis] * points
        log_q = stats.norm.logpdf(y, shifted[:, np.newaxis], narrower[:, np.newaxis])
        log_p = stats.norm.logpdf(y, mean[:, np.newaxis], width[:, np.newaxis])
        ratio = (ratio[:, np.newaxis] + log_q - log_p).ravel()
        log_weight = (log_weight[:, np.newaxis] + log_weights).ravel()
        code = np.column_stack([np.repeat(code, num_nodes, 0), y.ravel()])
        index, group = np.repeat(index, num_nodes), group + 1
    return log_weight, code, ratio, index


def bound(parameters, x, unit, kl, num_groups, num_samples, kl_weight, local_kl_weight, num_nodes):
    """E over K independent samples of log (w_1 + ... + w_K) / K; one sample gives the ELBO."""
    grid = exact.posterior_grid(parameters, x, unit, num_groups)
    log_weight, code, ratio, index = nodes(parameters, x, grid, num_nodes)
    kl = kl_weight * kl(parameters, grid)[index] + local_kl_weight * ratio
    log_w = exact.log_likelihood(parameters, x, code) - kl
    log_sum, joint, weight = log_w, np.exp(log_weight), np.exp(log_weight)
    for _ in range(num_samples - 1):
        log_sum = np.logaddexp(log_sum[..., np.newaxis], log_w)
        joint = joint[..., np.newaxis] * weight
    return float((joint * (log_sum - np.log(num_samples))).sum())


def log_likelihood(model, x, num_nodes=60):
    """log p(x) of a model of one local variable: all bits, and y by quadrature, float64; x [N, X]."""
    points, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    z, log_p_z = all_bits(model.recipe.structure.num_units).astype(np.float32), prior_log_probs(model)
    prior = np.asarray(model.local.priors[0](z), np.float64)
    y = prior[:, :1] + scale(prior[:, 1:]) * points
    codes = np.concatenate([np.repeat(z[:, np.newaxis], num_nodes, 1), y[..., np.newaxis]], -1)
    logits = special.logit(np.asarray(model.pixels(codes.astype(np.float32)).mean(), np.float64))
    log_pixels = np.einsum("nx,zyx->nzy", x, logits) - np.logaddexp(0, logits).sum(-1)
    log_p = log_p_z[:, np.newaxis] + np.log(weights / weights.sum())
    return special.logsumexp(log_pixels + log_p, axis=(1, 2))
