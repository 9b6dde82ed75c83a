"""The parts of a case of the suite: input tensors, programs that run on them, objects under test.

A program is a function of tensors only, so that every mode (eager, graph, XLA, SavedModel) can run it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

BOTH = (tf.float32, tf.float64)


class Arg(NamedTuple):
    """An input tensor: its shape, with None for the batch, and the kind of its numbers."""

    shape: tuple[int | None, ...]
    kind: str

    def dtype(self, floating: tf.DType) -> tf.DType:
        return {"seed": tf.int32, "count": tf.int32, "flag": tf.bool}.get(self.kind, floating)

    def spec(self, floating: tf.DType) -> tf.TensorSpec:
        return tf.TensorSpec(self.shape, self.dtype(floating))

    def value(self, rng: np.random.Generator, batch: int, floating: tf.DType) -> tf.Tensor:
        shape = [batch if size is None else size for size in self.shape]
        numbers = {
            "real": lambda: rng.normal(size=shape),
            "odds": lambda: 3 * rng.normal(size=shape),
            "unit": lambda: rng.uniform(0.02, 0.98, shape),
            "positive": lambda: rng.uniform(0.5, 3.0, shape),
            "bit": lambda: rng.integers(0, 2, shape),
            "flag": lambda: rng.integers(0, 2, shape),
            "seed": lambda: rng.integers(0, 1000, shape),
            "count": lambda: 6,
        }[self.kind]()
        # By way of float32, so that both precisions get the same numbers.
        return tf.constant(np.asarray(numbers, np.float32).astype(self.dtype(floating).as_numpy_dtype))


def real(*shape: int | None) -> Arg:
    return Arg(shape, "real")


def odds(*shape: int | None) -> Arg:
    return Arg(shape, "odds")


def unit(*shape: int | None) -> Arg:
    return Arg(shape, "unit")


def positive(*shape: int | None) -> Arg:
    return Arg(shape, "positive")


def bits(*shape: int | None) -> Arg:
    return Arg(shape, "bit")


def flags(*shape: int | None) -> Arg:
    return Arg(shape, "flag")


SEED = Arg((2,), "seed")
COUNT = Arg((), "count")


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A function of tensors, built for a precision.

    Attributes:
      build: maps a dtype to the function, which returns any nest of tensors.
      takes: its arguments.
      draws: whether it draws random numbers: then it repeats itself given the seed, but modes may differ.
      differentiable: whether its gradient is compared as well.
      dtypes: the precisions that it supports.
      batches: sizes of the batch that one trace serves.
      slow: whether it takes long to compile: then most of its tests are slow ones, and those of float64 soak.
      rtol: relative difference allowed between the modes in float32.
      xla: whether it can be part of an XLA program.
      of: maps a layer or a sampler to the function that runs it, if there is one.
      make: creates it; `owner` is the one in use.
    """

    build: Callable[[tf.DType], Callable[..., Any]]
    takes: tuple[Arg, ...]
    draws: bool = False
    differentiable: bool = True
    dtypes: tuple[tf.DType, ...] = BOTH
    batches: tuple[int, ...] = (1, 3, 7, 0)
    slow: bool = False
    rtol: float = 1e-5
    xla: bool = True
    of: Callable[[Any], Callable[..., Any]] | None = None
    make: Callable[[tf.DType], Any] | None = None

    @property
    def batched(self) -> bool:
        return any(None in arg.shape for arg in self.takes)

    def owner(self, dtype: tf.DType) -> Any:
        """The layer or sampler that the program runs; None for a function."""
        return _built(self.make, dtype) if self.make else None

    def given(self, batch: int, dtype: tf.DType, seed: int = 0) -> tuple[tf.Tensor, ...]:
        rng = np.random.default_rng(seed)
        return tuple(arg.value(rng, batch, dtype) for arg in self.takes)

    def specs(self, dtype: tf.DType) -> tuple[tf.TensorSpec, ...]:
        return tuple(arg.spec(dtype) for arg in self.takes)

    @functools.cache  # noqa: B019
    def eager(self, dtype: tf.DType) -> Callable[..., list[tf.Tensor]]:
        """Returns the results as a list and, unless it draws, the gradients of their sum."""
        call = self.build(dtype)

        def run(*given: tf.Tensor) -> list[tf.Tensor]:
            floats = [each for each in given if each.dtype.is_floating]
            with tf.GradientTape() as tape:
                tape.watch(floats)
                nest = call(*given)
                leaves = tf.nest.flatten(nest, expand_composites=True)
                # Leaves out names (`LogPartition.method`), which are no tensors.
                results = [
                    tf.convert_to_tensor(leaf) for leaf in leaves if not isinstance(leaf, str | type(None))
                ]
                total = [tf.reduce_sum(each) for each in results if each.dtype.is_floating]
            if self.draws or not self.differentiable or not total:
                return results
            zero = tf.UnconnectedGradients.ZERO
            gradients = tape.gradient(total, floats, unconnected_gradients=zero)
            return results + [tf.convert_to_tensor(each) for each in gradients]

        return run

    @functools.cache  # noqa: B019
    def compiled(self, dtype: tf.DType, jit_compile: bool) -> Any:
        """The same as one traced function of any batch; shared by the tests."""
        return tf.function(
            self.eager(dtype), input_signature=self.specs(dtype), autograph=False, jit_compile=jit_compile
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """How a public name is used.

    Attributes:
      programs: by name.
      make: maps a dtype to a new layer or sampler: an object with a configuration, and perhaps variables.
      distribution: builds it from its parameters.
      parameters: its parameters.
      value: where its `log_prob` is evaluated.
    """

    programs: dict[str, Program]
    make: Callable[[tf.DType], Any] | None = None
    distribution: Callable[..., Any] | None = None
    parameters: tuple[Arg, ...] = ()
    value: Arg | None = None


def function(call: Callable[..., Any], *takes: Arg, **kwargs: Any) -> Case:
    """A pure function of tensors."""
    return Case({"": Program(lambda dtype: call, takes, **kwargs)})


def typed(build: Callable[[tf.DType], Callable[..., Any]], *takes: Arg, **kwargs: Any) -> Case:
    """A function that depends on the precision."""
    return Case({"": Program(build, takes, **kwargs)})


def distribution(
    build: Callable[..., Any],
    parameters: tuple[Arg, ...],
    value: Arg,
    methods: Callable[[Any, tf.Tensor], Any] = lambda made, value: (),
    **kwargs: Any,
) -> Case:
    """A distribution: its `log_prob` and further methods at a value, and its samples."""

    def density(*given: tf.Tensor) -> Any:
        made = build(*given[:-1])
        return made.log_prob(given[-1]), methods(made, given[-1])

    def sample(count: tf.Tensor, *given: tf.Tensor) -> Any:
        return build(*given[:-1]).sample(count, seed=given[-1])

    # The shape of a draw inside an XLA program must be static.
    fixed = functools.partial(sample, 5)
    return Case(
        {
            "density": Program(lambda dtype: density, (*parameters, value), **kwargs),
            "sample": Program(lambda dtype: fixed, (*parameters, SEED), draws=True),
            "count": Program(lambda dtype: sample, (COUNT, *parameters, SEED), draws=True, xla=False),
        },
        distribution=build,
        parameters=parameters,
        value=value,
    )


def layer(make: Callable[[tf.DType], Any], **programs: Any) -> Case:
    """A layer: each program is (call, takes, options), called as `call(layer, *given)`."""

    def one(call: Callable[..., Any], takes: tuple[Arg, ...], options: dict[str, Any]) -> Program:
        of = functools.partial(functools.partial, call)
        return Program(lambda dtype: of(_built(make, dtype)), takes, of=of, make=make, **options)

    return Case({name: one(*program) for name, program in programs.items()}, make=make)


@functools.cache
def _built(make: Callable[[tf.DType], Any], dtype: tf.DType) -> Any:
    """One object for all tests; its variables in float64 are those in float32: initial draws differ."""
    thing = make(dtype)
    if dtype != tf.float32:
        theirs = getattr(_built(make, tf.float32), "variables", ())
        for variable, value in zip(getattr(thing, "variables", ()), theirs, strict=True):
            variable.assign(tf.cast(value, variable.dtype))
    return thing
