"""Samplers of others as the negative phase: annealers, their software, or any function that returns states.

A function is called in Python, so it cannot be part of a compiled program: training draws the states of each
step first and hands them to the program of the step. Everything but the states (which a device draws anew) is
a function of the seed and the step.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import keras
import numpy as np
import tensorflow as tf

from ..graphs import Graph, GraphMachine, bipartite
from ..numerics import Seed, as_seed, in_xla, integer_seed
from ..rbm import Machine, energy, uniform_bits
from ..support import as_count, as_number
from .base import Sampler, equal_log_weights, machine
from .inverse_temperature import estimate_beta

# Where nobody says how many.
_NUM_CHAINS = 1000
# The weight of the estimates so far when a new one joins them: a memory of some ten draws.
_MEMORY = 0.9
# The pooled estimate is used once its error is below this fraction of it.
_KNOWN = 0.25
# Standard errors by which an inverse temperature must be below 0 to be an error of sign.
_NEGATIVE = 6.0


class SamplerError(RuntimeError):
    """A function that draws states has failed, or has returned something else; the message names it."""


class ExternalState(NamedTuple):
    """The states that were drawn last, and what is known of the inverse temperature.

    Attributes:
      left: [C, L], zeros and ones; on a graph, the sides are those of `graphs.GraphMachine`.
      right: [C, R].
      beta_eff: the inverse temperature, pooled over the last draws: the mean of their estimates, weighted by
        their precision and by 0.9 for each later draw.
      precision: the sum of these weights, at most 1 / (standard error)^2 of it; 0 before the first estimate.
      remaining: int32, the number of further steps for which the states are to serve.
    """

    left: tf.Tensor
    right: tf.Tensor
    beta_eff: tf.Tensor
    precision: tf.Tensor
    remaining: tf.Tensor

    @property
    def log_weights(self) -> tf.Tensor:
        """-log C for each state, [C]."""
        return equal_log_weights(self.left)


class ExternalInfo(NamedTuple):
    """Energies of the states in nats at the parameters of the step, [C]."""

    energy: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
@dataclasses.dataclass(frozen=True)
class External(Sampler):
    r"""States of a function of your own, at the inverse temperature at which it draws.

    The function is given the parameters divided by $\beta_\text{eff}$, so that its states are draws of the
    machine itself. Unless you know it, $\beta_\text{eff}$ is estimated from the states of each draw
    (`estimate_beta`), pooled over the last ten or so, and taken for 1 until its error is below a quarter of
    it: while parameters are small, states say little about it, and it matters little. Training logs it.

    `step` calls the function, eagerly or from a graph, but not from a program that is compiled by XLA.
    `training.train` and `fit` of a `models.DVAE` draw before each compiled step; your own model with a
    `priors.BoltzmannPrior` is to be compiled with `jit_compile=False`.

    Attributes:
      sample: `sample(biases, couplings, num_chains)` returns states [num_chains, D], zeros and ones of any
        dtype. It is given float64 NumPy arrays: biases [D], and couplings [M] in the order of the graph's
        edges; a restricted machine has the left units first and its weights [L, R] row by row
        (`graphs.bipartite`). If it has an argument `seed`, it is given an integer below 2^31 that is derived
        from the seed and the number of the step.
      beta_eff: the inverse temperature, if it is known; it is estimated all the same, and logged.
      interval: steps for which the states of one call serve, for functions that are slow.
      batch_size: of states that depend on each other, as in `estimate_beta`.
      num_chains: states; None for as many as the recipe says, or 1000 in a layer of your own.

    Raises:
      ValueError: if `sample` cannot be called, a count is below its minimum, `beta_eff` is no number above 0,
        or there are fewer than two batches of states.
    """

    compiled: ClassVar[bool] = False

    # The fields of the base have defaults; they come after, or are none of the constructor.
    num_chains: int | None = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]
    num_sweeps: int = dataclasses.field(default=1, init=False, repr=False)
    sample: Callable[..., Any]
    beta_eff: float | None = None
    interval: int = 1
    batch_size: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.sample):
            raise ValueError(
                f"sample: expected a function of biases, couplings and num_chains, got {self.sample!r}"
            )
        if self.beta_eff is not None:
            object.__setattr__(self, "beta_eff", as_number("beta_eff", self.beta_eff, above=0.0))
        if self.num_chains is not None:
            least = self.batch_size + 1
            object.__setattr__(self, "num_chains", as_count("num_chains", self.num_chains, least))

    def start(self, machine: Machine, seed: Seed) -> ExternalState:
        """Returns independent fair bits, which the first step replaces; nothing is called."""
        dtype = machine.dtype
        z = uniform_bits(self.num_chains or _NUM_CHAINS, machine.num_units, seed, dtype)
        unknown = tf.ones([], dtype), tf.zeros([], dtype)
        return ExternalState(*machine.sides(z), *unknown, tf.zeros([], tf.int32))

    def step(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: ExternalState,
        seed: Seed,
        temperature: float = 1.0,
    ) -> tuple[ExternalState, ExternalInfo]:
        """Draws states at the given parameters, or keeps those that are to serve on; no gradient flows.

        Raises:
          RuntimeError: within a program that is compiled by XLA.
          SamplerError: if the function raises, or does not return the states that it was asked for, or if
            they prefer high energies. From a graph it comes as an error of TensorFlow with that message.
        """
        if in_xla():
            raise RuntimeError(
                f"sampler: expected a step outside of programs that are compiled by XLA, because it calls "
                f"{self.name}; compile the model with jit_compile=False"
            )
        target = machine(left_bias, right_bias, weights, temperature, state)
        graph, *parameters = _on_graph(target)
        given = [*parameters, as_seed(seed), *state]
        draw = functools.partial(self._drawn, target.sides, graph)
        if tf.executing_eagerly():
            fields = draw(*given)
        else:
            fields = tf.py_function(draw, given, [each.dtype for each in state])
        new = (tf.ensure_shape(field, each.shape) for field, each in zip(fields, state, strict=True))
        state = ExternalState(*new)
        return state, ExternalInfo(energy(target, state.left, state.right))

    def _drawn(
        self,
        sides: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        graph: Graph,
        biases: tf.Tensor,
        couplings: tf.Tensor,
        seed: tf.Tensor,
        *fields: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """The fields of the new state; eagerly."""
        state = ExternalState(*fields)
        if state.remaining > 0:
            return tuple(state._replace(remaining=state.remaining - 1))
        divisor = self._divisor(state)
        a, w = (np.asarray(each, np.float64) / divisor for each in (biases, couplings))
        z = self._states(a, w, len(state.left), seed)
        beta, precision = self._pooled(state, *estimate_beta(graph, a, w, z, self.batch_size))
        dtype = state.left.dtype
        return (
            *sides(tf.constant(z, dtype)),
            tf.constant(beta, dtype),
            tf.constant(precision, dtype),
            tf.constant(self.interval - 1, tf.int32),
        )

    def _divisor(self, state: ExternalState) -> float:
        """The inverse temperature that the parameters are divided by."""
        if self.beta_eff is not None:
            return self.beta_eff
        beta, precision = float(state.beta_eff), float(state.precision)
        return beta if beta > 0 and precision * (_KNOWN * beta) ** 2 > 1 else 1.0

    def _pooled(self, state: ExternalState, beta: float, standard_error: float) -> tuple[float, float]:
        """The pooled estimate and its precision after a new one."""
        old = _MEMORY * float(state.precision)
        new = 1 / standard_error**2
        if not new:
            return float(state.beta_eff), old
        pooled = (old * float(state.beta_eff) + new * beta) / (old + new)
        if (error := 1 / math.sqrt(old + new)) * _NEGATIVE < -pooled:
            raise SamplerError(
                f"sample: expected draws that prefer low energies E(z), got {self.name} with an inverse "
                f"temperature of {pooled:.3g} ± {error:.1g}; E(z) subtracts the terms that a binary "
                f"quadratic model adds (graphs.to_bqm)"
            )
        return pooled, old + new

    def _states(self, biases: np.ndarray, couplings: np.ndarray, num_chains: int, seed: Any) -> np.ndarray:
        """Calls the function, and checks what it returns."""
        named = {}
        if _takes_seed(self.sample):
            named["seed"] = integer_seed(*(int(each) % 2**32 for each in np.asarray(seed)))
        try:
            # Copies: a function may write into what it is given.
            found = np.asarray(self.sample(biases.copy(), couplings.copy(), num_chains, **named))
        except Exception as error:  # whatever it may raise
            raise SamplerError(f"sample: {self.name} raised {type(error).__name__}: {error}") from error
        expected = (num_chains, len(biases))
        if found.shape != expected:
            few = found.ndim == 2 and found.shape[1] == expected[1] and len(found) < num_chains
            words = "too few states, " if few else ""
            raise SamplerError(
                f"sample: expected states of shape {list(expected)}, got {words}{list(found.shape)} from "
                f"{self.name}"
            )
        bits = found == 1
        if not np.all(bits | (found == 0)):
            wrong = found[~(bits | (found == 0))].flat[0]
            spins = "; (1 + s) / 2 makes bits of spins" if np.isin(found, (-1, 1)).all() else ""
            raise SamplerError(f"sample: expected zeros and ones, got {wrong} from {self.name}{spins}")
        return bits

    @property
    def name(self) -> str:
        """The name of the function, for messages."""
        return getattr(self.sample, "__qualname__", None) or type(self.sample).__name__

    def sized(self, num_chains: int) -> Self:
        """The sampler with this number of states, if it has none of its own."""
        return self if self.num_chains is not None else dataclasses.replace(self, num_chains=num_chains)

    def summary(self, state: ExternalState) -> dict[str, tf.Tensor]:
        """The pooled inverse temperature, and an upper estimate of its standard error."""
        error = tf.math.rsqrt(state.precision)
        return {"beta_eff": state.beta_eff, "beta_eff_standard_error": error}

    def get_config(self) -> dict[str, Any]:
        """The attributes, for Keras; the function must be serializable by Keras."""
        return {
            "sample": keras.saving.serialize_keras_object(self.sample),
            "beta_eff": self.beta_eff,
            "interval": self.interval,
            "batch_size": self.batch_size,
            "num_chains": self.num_chains,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The inverse of `get_config`, for Keras."""
        return cls(**config | {"sample": keras.saving.deserialize_keras_object(config["sample"])})


# A graph keeps what sweeps and energies derive from it.
_bipartite = functools.lru_cache(maxsize=8)(bipartite)


def _on_graph(target: Machine) -> GraphMachine:
    """A machine as one on a graph: a restricted one on the complete bipartite graph."""
    if isinstance(target, GraphMachine):
        return target
    graph = _bipartite(target.num_left, target.num_right)
    return GraphMachine(graph, target.unit_biases, tf.reshape(target.weights, [-1]))


def _takes_seed(sample: Callable[..., Any]) -> bool:
    """Whether a function has an argument named seed."""
    try:
        return "seed" in inspect.signature(sample).parameters
    except (TypeError, ValueError):  # some functions written in C have no signature
        return False
