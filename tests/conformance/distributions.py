"""The distributions of the library."""

from conformance.cases import bits, distribution, positive, real, unit
from conformance.functions import GRAPH, MACHINE
from dvae_tf import priors, smoothing
from dvae_tf.models.levels import DiscretizedLogisticMixture, DiscretizedLogisticPixels
from dvae_tf.models.likelihoods import BernoulliPixels
from dvae_tf.priors import BoltzmannMachine

LOG_Z = real()


def _binary(q, zeta):
    return q.cdf(zeta), q.quantile(zeta), q.binary.probs_parameter(), q.logits


def _smoothed(q, zeta):
    return *_binary(q, zeta), q.log_density_ratio(zeta), q.binary_posterior(zeta).probs_parameter()


def _machine(q, z):
    return q.energy(z), q.unnormalized_log_prob(z)


def _relaxed(relaxation, **options):
    return lambda *machine: relaxation(BoltzmannMachine(*machine), **options)


LAYER = smoothing.Power(3.0)

DISTRIBUTIONS = {
    "models.likelihoods.BernoulliPixels": distribution(
        lambda logits: BernoulliPixels(logits=logits, dtype=logits.dtype), (real(None, 3),), bits(None, 3)
    ),
    "models.levels.DiscretizedLogisticMixture": distribution(
        DiscretizedLogisticMixture,
        (real(None, 2, 4), real(None, 2, 3, 4), positive(2, 3, 4), real(2, 3, 4)),
        bits(None, 6),
    ),
    "models.levels.DiscretizedLogisticPixels": distribution(
        DiscretizedLogisticPixels, (real(None, 3), positive(3)), bits(None, 3)
    ),
    "priors.BoltzmannMachine": distribution(BoltzmannMachine, (*MACHINE, LOG_Z), bits(2, None, 7), _machine),
    "priors.DirectedBernoulli": distribution(
        priors.DirectedBernoulli, (real(5),), bits(2, None, 5), lambda q, z: q.logits(z)
    ),
    "priors.GaussianIntegralRelaxation": distribution(
        lambda *given: priors.GaussianIntegralRelaxation(BoltzmannMachine(*given[:-1]), 8.0, given[-1]),
        (*MACHINE, LOG_Z, positive()),
        real(2, None, 7),
    ),
    "priors.GraphBoltzmannMachine": distribution(
        lambda *given: priors.GraphBoltzmannMachine(GRAPH, *given),
        (real(5), real(6), LOG_Z),
        bits(2, None, 5),
        _machine,
    ),
    "priors.GumBolt": distribution(_relaxed(priors.GumBolt), (*MACHINE, LOG_Z), unit(2, None, 7)),
    "priors.OverlappingRelaxation": distribution(
        _relaxed(priors.OverlappingRelaxation, smoothing=LAYER),
        (*MACHINE, LOG_Z),
        unit(2, None, 7),
        lambda q, zeta: q.mean_field(zeta),
    ),
    "smoothing.NormalCode": distribution(
        smoothing.NormalCode,
        (real(None, 3), positive()),
        real(None, 3),
        lambda q, zeta: (q.cdf(zeta), q.mean()),
    ),
    "smoothing.ConcreteBernoulli": distribution(
        smoothing.ConcreteBernoulli, (real(None, 3), positive()), unit(None, 3), _binary
    ),
    "smoothing.RelaxedBernoulli": distribution(
        lambda logits, beta: smoothing.RelaxedBernoulli(logits, (beta + 1.0,), smoothing.Power),
        (real(None, 3), positive()),
        unit(None, 3),
        _smoothed,
        slow=True,
    ),
}
