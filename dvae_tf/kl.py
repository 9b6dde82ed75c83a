r"""The KL terms of the bounds: $\log q - \log p$ at a sample, or averaged in closed form.

Each function takes samples of the posterior and a prior, and returns [K, B] in nats. Its mean over the
posterior is the KL divergence of the system, or a surrogate of it where stated.
"""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .graphs import GraphMachine
from .numerics import bernoulli_entropy, keep_nan
from .posterior import PosteriorSample
from .priors import DirectedBernoulli, GumBolt
from .priors.boltzmann import MachineDistribution
from .products import matmul, matvec
from .rbm import RBM, conditional_logits, split_sides

# Smallest value of 1 - q in a denominator.
_SMALLEST_PROBABILITY = 1e-6


def sampled(draw: PosteriorSample, prior: tfd.Distribution) -> tf.Tensor:
    r"""$\log q(\zeta | x) - \log p(\zeta)$ at the sample: DVAE# (DVAE# paper, Eq. 3), and Concrete.

    The prior is any distribution of zeta, event shape [D]. The estimate is unbiased if the prior's `log_prob`
    is the log density; with the mean-field lower bound of an overlapping relaxation it is an overestimate.
    """
    return draw.log_prob - prior.log_prob(draw.sample)


def proxy(draw: PosteriorSample, prior: GumBolt) -> tf.Tensor:
    r"""GumBolt's $\log \check q - \log \check p$ (GumBolt paper, Eq. 9): a surrogate, exact for bits.

    $$
    \log \check q(\zeta) = \sum_i \zeta_i \log q_i + (1 - \zeta_i) \log(1 - q_i).
    $$
    """
    log_q = draw.sample * draw.logits - tf.math.softplus(draw.logits)
    return tf.reduce_sum(log_q, -1) - prior.log_prob(draw.sample)


def bernoulli(draw: PosteriorSample, prior: DirectedBernoulli) -> tf.Tensor:
    """KL divergence between Bernoulli bits, in closed form given the groups before.

    It is the exact KL term of the directed DVAE++, where r(zeta | z) cancels, and for the Gumbel-Softmax VAE
    the surrogate of Jang et al. (2017).
    """
    prior_logits = prior.logits(draw.sample)
    # A sum over the values of the bit: the difference softplus(l) - q l would lose the rarer one.
    if_1 = tf.math.sigmoid(draw.logits) * tf.math.softplus(-prior_logits)
    if_0 = tf.math.sigmoid(-draw.logits) * tf.math.softplus(prior_logits)
    cross_entropy = if_0 + if_1
    return tf.reduce_sum(cross_entropy - bernoulli_entropy(draw.logits), -1)


def joint(draw: PosteriorSample, prior: MachineDistribution) -> tf.Tensor:
    r"""DVAE++: KL of $q(z, \zeta | x)$ from $p(z) r(\zeta | z)$, averaged over the bits (DVAE# paper, Eq. 2).

    $$
    -H(q(z | x)) - \sum_i a_i \mu_i - \sum_{ij} \mathbb{E}[z_i z_j] W_{ij} + \log Z, \qquad
    \mu_i = q(z_i = 1 | x, \zeta_{<i}).
    $$

    With one group $\mathbb{E}[z_i z_j] = \mu_i \mu_j$. With several it is $\nu_i \mu_j$: the left bit $z_i$
    (never of a later group than $z_j$) is averaged given its own $\zeta_i$,
    $\nu_i = \sigma(l_i + b(\zeta_i))$, and the right bit $z_j$ without. On a graph that is not complete
    bipartite $i$ is the bit of the earlier group, and two bits of the same group take $\mu_i \mu_j$.
    """
    entropy = tf.reduce_sum(bernoulli_entropy(draw.logits), -1)
    return _mean_energy(draw, prior) + prior.log_partition - entropy


def _mean_energy(draw: PosteriorSample, prior: MachineDistribution) -> tf.Tensor:
    """E(z) averaged over the bits, as in `joint`."""
    machine, mu = prior.machine, tf.math.sigmoid(draw.logits)
    nu = draw.binary_posterior_probs() if len(draw.distributions) > 1 else mu
    if not isinstance(machine, RBM):
        return _mean_energy_on_graph(machine, mu, nu, len(draw.distributions))
    rbm = machine
    mu_left, mu_right = split_sides(mu, rbm.num_left)
    left, _ = split_sides(nu, rbm.num_left)
    biases = matvec(mu_left, rbm.left_bias) + matvec(mu_right, rbm.right_bias)
    couplings = tf.reduce_sum(matmul(left, rbm.weights) * mu_right, -1)
    return -biases - couplings


def _mean_energy_on_graph(machine: GraphMachine, mu: tf.Tensor, nu: tf.Tensor, num_groups: int) -> tf.Tensor:
    """The same on a graph: an edge between groups takes the nu of its unit in the earlier one."""
    graph = machine.graph
    # Groups are equal parts of the units, in their order; the first unit of an edge has the lower number.
    earlier, later = (graph.edges // (graph.num_units // num_groups)).T

    def pairs(first: tf.Tensor, chosen: np.ndarray) -> tf.Tensor:
        couplings = tf.where(chosen, machine.couplings, tf.zeros_like(machine.couplings))
        matrix = tf.scatter_nd(graph.edges, couplings, [graph.num_units] * 2)
        return tf.reduce_sum(matmul(first, matrix) * mu, -1)

    biases = matvec(mu, machine.biases)
    return -biases - pairs(nu, earlier < later) - pairs(mu, earlier == later)


def dvae(draw: PosteriorSample, prior: MachineDistribution) -> tf.Tensor:
    r"""DVAE's KL and its gradient (GumBolt paper, Eq. 16; Rolfe, 2017).

    With one group it is `joint`, in closed form. With several groups the bits $z = 1[\zeta > 0]$ are known,
    and the value is $-H(q(z | x)) + E(z) + \log Z$. Its gradient in the prior is the derivative of this
    value; in the posterior it is that of

    $$
    -\sum_i \frac{1 - z_i}{1 - q_i} \left(a_i + (\bar W z)_i\right) q_i
    $$

    over all units, with all factors but the last $q_i$ held fixed, where $q_i$ also depends on $\zeta_{<i}$
    and $\bar W$ is the symmetric coupling matrix. Unbiased.
    """
    if len(draw.distributions) == 1:
        return joint(draw, prior)
    z = tf.stop_gradient(keep_nan(tf.cast(draw.sample > 0, draw.sample.dtype), draw.sample))
    machine = prior.machine
    field = conditional_logits(machine, *machine.sides(z))
    not_q = tf.maximum(tf.math.sigmoid(-draw.logits), _SMALLEST_PROBABILITY)
    surrogate = tf.reduce_sum(tf.stop_gradient((1.0 - z) / not_q * field) * tf.math.sigmoid(draw.logits), -1)
    entropy = tf.reduce_sum(bernoulli_entropy(draw.logits), -1)
    value = prior.energy(z) + prior.log_partition - entropy
    return value - (surrogate - tf.stop_gradient(surrogate))
