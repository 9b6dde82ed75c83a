"""log q - log p: the second half of every bound, at a sample or in closed form.

Each function takes samples of the posterior and a prior, and gives [K, B] in nats. Over the posterior its
mean is the KL divergence of the system (or, where it says so, a surrogate of it).
"""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .numerics import bernoulli_entropy, keep_nan
from .posterior import PosteriorSample
from .priors import BoltzmannMachine, DirectedBernoulli, GumBolt
from .rbm import left_logits, right_logits, split_sides

# Of 1 - q where it divides.
_SMALLEST_PROBABILITY = 1e-6


def sampled(draw: PosteriorSample, prior: tfd.Distribution) -> tf.Tensor:
    """log q(zeta | x) - log p(zeta) at the sample: DVAE# (DVAE# paper, Eq. 3), and Concrete.

    The prior is any distribution of zeta, event shape [D]. An unbiased estimate as far as its `log_prob` is
    the log density; by the mean field of an overlapping relaxation, which bounds it from below, an upper
    estimate.
    """
    return draw.log_prob - prior.log_prob(draw.sample)


def proxy(draw: PosteriorSample, prior: GumBolt) -> tf.Tensor:
    """GumBolt's log q~(zeta) - log p~(zeta) (GumBolt paper, Eq. 9): a surrogate, exact for bits.

    log q~(zeta) = sum_i zeta_i log q_i + (1 - zeta_i) log(1 - q_i).
    """
    log_q = draw.sample * draw.logits - tf.math.softplus(draw.logits)
    return tf.reduce_sum(log_q, -1) - prior.log_prob(draw.sample)


def bernoulli(draw: PosteriorSample, prior: DirectedBernoulli) -> tf.Tensor:
    """KL of Bernoulli bits from Bernoulli bits, in closed form given the groups before.

    The KL of the directed DVAE++, exactly: its r(zeta | z) is on both sides. Of the Gumbel-Softmax VAE it
    is the surrogate that Jang et al. (2017) use.
    """
    prior_logits = prior.logits(draw.sample)
    # In each bit the rarer value counts: a difference of softplus and q l would lose it.
    if_1 = tf.math.sigmoid(draw.logits) * tf.math.softplus(-prior_logits)
    if_0 = tf.math.sigmoid(-draw.logits) * tf.math.softplus(prior_logits)
    cross_entropy = if_0 + if_1
    return tf.reduce_sum(cross_entropy - bernoulli_entropy(draw.logits), -1)


def joint(draw: PosteriorSample, prior: BoltzmannMachine) -> tf.Tensor:
    """DVAE++: KL of q(z, zeta | x) from p(z) r(zeta | z) (DVAE# paper, Eq. 2), bits averaged over.

        -H(q(z | x)) - sum_i a_i mu_i - sum_ij E[z_i z_j] W_ij + log Z,   mu = q(z = 1 | x, zeta_<).

    With one group E[z_i z_j] = mu_i mu_j. With several, z_i is averaged after its zeta was seen and z_j
    before: nu_i mu_j with nu = sigmoid(l + b(zeta)), i on the left side (the first half of the groups).
    """
    entropy = tf.reduce_sum(bernoulli_entropy(draw.logits), -1)
    return _mean_energy(draw, prior) + prior.log_partition - entropy


def _mean_energy(draw: PosteriorSample, prior: BoltzmannMachine) -> tf.Tensor:
    """E(z) with every bit averaged over as `joint` says."""
    rbm = prior.rbm
    mu_left, mu_right = split_sides(tf.math.sigmoid(draw.logits), prior.num_left)
    left = mu_left
    if len(draw.distributions) > 1:
        left, _ = split_sides(draw.binary_posterior_probs(), prior.num_left)
    biases = tf.linalg.matvec(mu_left, rbm.left_bias) + tf.linalg.matvec(mu_right, rbm.right_bias)
    couplings = tf.reduce_sum(tf.matmul(left, rbm.weights) * mu_right, -1)
    return -biases - couplings


def dvae(draw: PosteriorSample, prior: BoltzmannMachine) -> tf.Tensor:
    """DVAE's KL and its gradient (GumBolt paper, Eq. 16; Rolfe, 2017).

    With one group that of `joint`, in closed form. With several, the bits z = 1[zeta > 0] are known, and
    the value is -H(q(z | x)) + E(z) + log Z. Its gradient in the prior is the automatic one; in the
    posterior it is that of

        -sum_i (1 - z_i) / (1 - q_i) (a_i + (W- z)_i) q_i,   the first factors held fixed,

    over all units, q_i through zeta_< too; W- is symmetric. Unbiased.
    """
    if len(draw.distributions) == 1:
        return joint(draw, prior)
    z = tf.stop_gradient(keep_nan(tf.cast(draw.sample > 0, draw.sample.dtype), draw.sample))
    left, right = split_sides(z, prior.num_left)
    field = tf.concat([left_logits(prior.rbm, right), right_logits(prior.rbm, left)], -1)
    not_q = tf.maximum(tf.math.sigmoid(-draw.logits), _SMALLEST_PROBABILITY)
    surrogate = tf.reduce_sum(tf.stop_gradient((1.0 - z) / not_q * field) * tf.math.sigmoid(draw.logits), -1)
    entropy = tf.reduce_sum(bernoulli_entropy(draw.logits), -1)
    value = prior.energy(z) + prior.log_partition - entropy
    return value - (surrogate - tf.stop_gradient(surrogate))
