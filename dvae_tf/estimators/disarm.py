r"""DisARM (Dong, Mnih and Tucker, 2020): antithetic pairs of bits, for the ELBO.

With uniform $u_i$, the two codes of a pair are $z_i = 1[1 - u_i < \sigma(l_i)]$ and
$z'_i = 1[u_i < \sigma(l_i)]$, and the gradient in the log-odds is

$$
\frac{\partial}{\partial l_i} \approx \frac12 \left(f(z) - f(z')\right) (-1)^{z'_i} 1[z_i \ne z'_i] \,
\sigma(|l_i|).
$$

With several groups there is a pair for each group in turn: its first member is the one code of all groups,
its second shares the groups before, takes the antithetic bits of this group and draws the later ones with
noise of its own. So $G$ groups cost $1 + G$ evaluations of $f$ where one group costs 2.
"""

from typing import Any

import tensorflow as tf

from ..numerics import draw_bits, split, uniform
from ..objectives import elbo
from .base import BoundParts, RelaxedBound, gradient_of, terms_of_bits


def disarm(parts: BoundParts) -> RelaxedBound:
    r"""The ELBO of the bits and an unbiased estimate of its gradient, from K / 2 antithetic pairs.

    Decoder and prior take the mean of $\nabla f$ over all codes, each of which is a draw of the posterior.
    The decoder is evaluated (1 + G) K / 2 times: K times with one group.
    """
    num_pairs = parts.num_samples // 2
    # Codes of the groups so far: those of the pairs' first members, then of the second ones of each group.
    code: Any = None
    log_q: Any = None
    first: list[tuple[tf.Tensor, tf.Tensor]] = []
    for group, seed in enumerate(split(parts.seed, parts.posterior.num_groups)):
        logits = parts.posterior.logits(group, parts.x, code, num_pairs, parts.training)
        u = uniform(tf.shape(logits), seed, logits.dtype)
        z = draw_bits(tf.math.sigmoid(logits), 1.0 - u)
        antithetic = draw_bits(tf.math.sigmoid(logits[:num_pairs]), u[:num_pairs])
        first.append((logits[:num_pairs], z[:num_pairs] - antithetic))
        z, logits = tf.concat([z, antithetic], 0), tf.concat([logits, logits[:num_pairs]], 0)
        log_q_group = tf.reduce_sum(z * logits - tf.math.softplus(logits), -1)
        if code is None:
            code, log_q = z, log_q_group
        else:
            code = tf.concat([tf.concat([code, code[:num_pairs]], 0), z], -1)
            log_q = tf.concat([log_q, log_q[:num_pairs]], 0) + log_q_group
    # The members of a pair differ in their bits alone.
    log_likelihood, kl = terms_of_bits(parts, code, tf.stop_gradient(log_q), num_pairs)
    f = tf.split(log_likelihood - parts.kl_weight * kl, 1 + len(first), 0)
    bound = elbo(log_likelihood, kl, parts.kl_weight)
    for (logits, differs), other in zip(first, f[1:], strict=True):
        # z - z' is the sign where the bits of a pair differ, and 0 elsewhere.
        slope = 0.5 * (f[0] - other)[..., tf.newaxis] * differs * tf.math.sigmoid(tf.abs(logits))
        bound += gradient_of(tf.reduce_mean(tf.reduce_sum(tf.stop_gradient(slope) * logits, -1), 0))
    return RelaxedBound(bound, log_likelihood, kl)
