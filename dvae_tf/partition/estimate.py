r"""$\log Z$ by the method that suits the machine, with a verdict that detects failures of sampling.

Forward annealing errs downwards, reverse annealing from draws of the machine errs upwards. Where the two
agree within their errors $\log Z$ lies between them, and Bennett's ratio of both sets of weights is the best
estimate; where they disagree, at least one of them has not converged. The errors on the reverse side are over
the ladders that the draws come from: successive draws of one ladder are far from independent.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, fold_in, log_mean_exp, split
from ..rbm import Machine, as_machine, exact, right_logits
from ..support import as_count
from .ais import (
    AnnealedChains,
    annealed_importance_sampling,
    as_chains,
    count_chains,
    reverse_annealed_importance_sampling,
)
from .bridge import TemperedLadders, bennett, bridge_sampling
from .log_partition import LogPartition, all_met, at_most

# Largest difference of the two sides in units of its error; a normal number exceeds it once in 400 times.
_MAX_DISAGREEMENT = 3.0
# Ladders of parallel tempering. The default number of samples from each is such that R-hat of a machine of
# 200 + 200 units falls below the limit of `bridge_sampling`.
_NUM_LADDERS = 100


class BothSides(NamedTuple):
    """The parts of an estimate from both sides.

    Attributes:
      forward: annealing from the product distribution.
      reverse: annealing from draws of the machine.
      tempering: bridge sampling, which drew them; None if the draws were given.
      fair: annealing from fair bits, where the ladders of the tempering do not start from them: a lower bound
        that owes nothing to the draws; None otherwise.
    """

    forward: LogPartition[AnnealedChains]
    reverse: LogPartition[AnnealedChains]
    tempering: LogPartition[TemperedLadders] | None = None
    fair: LogPartition[AnnealedChains] | None = None


def estimate(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    num_temperatures: int = 1000,
    num_chains: int = 1000,
    seed: Seed = (0, 0),
    left: Any = None,
    temperature: float = 1.0,
    max_exact_units: int = 16,
    both_sides: bool = True,
    base_probs: Any = None,
    num_samples: int = 100,
    exchange_rate: float = 0.2,
    max_rungs: int = 160,
    verbose: bool = False,
) -> LogPartition[Any]:
    r"""Measures $\log Z$: exactly where that is fast, otherwise by annealing from one side or from both.

    Exact (`"exact"`) where all couplings are 0, as $\log Z = \sum_i \log(1 + e^{a_i})$, and where the smaller
    side is small enough for enumeration, or a graph narrow. From one side (`"ais"`) it is
    `annealed_importance_sampling`. From both sides (`"two-sided"`) the estimate is Bennett's, and `lower` and
    `upper` are those of the two annealings. It counts as converged if all of these hold, and `reasons` lists
    those that do not:

    * the two sides differ by at most three of their errors;
    * the weights of each have an effective sample size of at least a tenth of the chains;
    * parallel tempering, which draws the states of the reverse chains, has converged (`bridge_sampling`), and
      its own estimate differs from this one by at most three errors;
    * where its ladders start from fitted means, annealing from fair bits, a lower bound that owes nothing to
      the draws, does not exceed the estimate by more than three errors.

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      num_temperatures: of annealing, each way.
      num_chains: of annealing, each way; in reverse rounded up to an equal number from each ladder.
      seed: an `int32[2]` seed.
      left: draws of the machine, or of its left side, to start the reverse chains from, as in
        `reverse_annealed_importance_sampling`; None draws them by parallel tempering.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.
      max_exact_units: the largest smaller side that is enumerated; on a graph, the largest number of units
        outside its largest color, or width of an elimination (`graphs.elimination`).
      both_sides: whether to anneal in reverse too.
      base_probs: [D], the means of the product distribution at t = 0. None fits them to the draws by
        parallel tempering, and takes fair bits where there are none; so given draws of a single mode cannot
        mislead both sides.
      num_samples: of parallel tempering, from each ladder.
      exchange_rate: of parallel tempering, as in `bridge_sampling`.
      max_rungs: of parallel tempering, as in `bridge_sampling`.
      verbose: whether to show progress.

    Raises:
      ValueError: if a count is below 1 (2 for chains and samples), or shapes disagree.
    """
    machine = as_machine(left_bias, right_bias, weights, temperature)
    if _has_no_couplings(machine):
        return LogPartition.known(tf.reduce_sum(tf.math.softplus(machine.unit_biases)))
    if exact.num_exact_units(machine) <= max_exact_units:
        return LogPartition.known(exact.log_partition(machine))
    if not both_sides:
        return annealed_importance_sampling(
            *machine.arguments,
            num_temperatures,
            num_chains,
            seed=seed,
            base_probs=base_probs,
            verbose=verbose,
        )
    num_temperatures = as_count("num_temperatures", num_temperatures)
    num_chains = as_count("num_chains", num_chains, 2)
    num_samples = as_count("num_samples", num_samples, 2)
    for_draws, for_forward, for_reverse = split(seed, 3)
    tempering = fair = None
    if left is not None:
        chains = as_chains(left, machine)
    else:
        tempering = bridge_sampling(
            *machine.arguments,
            num_chains=_NUM_LADDERS,
            num_samples=max(num_samples, -(-num_chains // _NUM_LADDERS)),
            seed=for_draws,
            exchange_rate=exchange_rate,
            max_rungs=max_rungs,
            verbose=verbose,
        )
        draws = tempering.details.left
        each = -(-num_chains // draws.shape[1])
        chains = draws[-each:, :num_chains]
        base_probs = _means(machine, draws) if base_probs is None else base_probs
        if tf.executing_eagerly() and tf.reduce_any(tempering.details.base_probs != 0.5):
            fair = annealed_importance_sampling(
                *machine.arguments,
                max(1, num_temperatures // 4),
                num_chains,
                fold_in(for_forward, 1),
                verbose=verbose,
            )
    forward = annealed_importance_sampling(
        *machine.arguments,
        num_temperatures,
        num_chains,
        seed=for_forward,
        base_probs=base_probs,
        verbose=verbose,
    )
    reverse = reverse_annealed_importance_sampling(
        *machine.arguments, chains, num_temperatures, seed=for_reverse, base_probs=base_probs, verbose=verbose
    )
    return _between(BothSides(forward, reverse, tempering, fair), count_chains(chains))


def _has_no_couplings(machine: Machine) -> bool:
    """Whether all couplings are known to be 0; inside a `tf.function` they may be unknown."""
    weights = tf.get_static_value(machine[-1])
    return weights is not None and not weights.any()


def _means(machine: Machine, left: tf.Tensor) -> tf.Tensor:
    """Means of all units, [D], from draws [..., L] of the left ones."""
    left = tf.reshape(left, [-1, machine.num_left])
    right = tf.math.sigmoid(right_logits(machine, left))
    return machine.bits(tf.reduce_mean(left, 0), tf.reduce_mean(right, 0))


def _between(sides: BothSides, num_ladders: Any) -> LogPartition[BothSides]:
    """Joins the parts; as many ladders gave the draws, in turn."""
    forward, reverse, tempering, fair = sides
    log_base = forward.log_partition - log_mean_exp(forward.details.log_weights)
    ratio = bennett(forward.details.log_weights, reverse.details.log_weights, num_ladders)
    log_z, error = log_base + ratio.log_ratio, tf.sqrt(ratio.variance)
    gap = reverse.log_partition - forward.log_partition
    criteria = [
        *forward.criteria,
        *reverse.criteria,
        at_most(
            "difference of both sides",
            tf.abs(gap),
            _MAX_DISAGREEMENT * tf.sqrt(forward.standard_error**2 + reverse.standard_error**2),
            "raise num_temperatures" if tempering is None else "raise num_temperatures or num_samples",
        ),
    ]
    if tempering is not None:
        criteria += [
            *tempering.criteria,
            at_most(
                "difference to bridge sampling",
                tf.abs(log_z - tempering.log_partition),
                _MAX_DISAGREEMENT * tf.sqrt(ratio.variance + tempering.standard_error**2),
                "raise num_samples",
            ),
        ]
    if fair is not None:
        criteria.append(
            at_most(
                "excess of annealing from fair bits",
                fair.log_partition - log_z,
                _MAX_DISAGREEMENT * tf.sqrt(ratio.variance + fair.standard_error**2),
                "the draws have missed a mode, give others (left)",
            )
        )
    return LogPartition(
        log_z,
        error,
        lower=forward.lower,
        upper=reverse.upper,
        gap=gap,
        effective_sample_size=tf.minimum(forward.effective_sample_size, reverse.effective_sample_size),
        converged=all_met(criteria),
        method="two-sided",
        details=sides,
        criteria=tuple(criteria),
    )
