"""A trained model as a SavedModel that needs TensorFlow alone: neither this package nor TFP.

Every signature takes and gives tensors only, and draws from an explicit seed: the same seed gives what the
live model gives.
"""

import functools
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from . import storage
from .models import DVAE
from .models.dvae import likelihood_block
from .objectives import streamed_bound
from .runs import provenance

DESCRIPTION_FILE = "export.json"


def save(
    model: DVAE,
    path: str | os.PathLike[str],
    num_importance_samples: int = 1000,
    num_sweeps: int = 1000,
) -> pathlib.Path:
    """Writes a SavedModel, whole or not at all, and `export.json` beside its graph.

    Its signatures; B and N are free, X are the pixels, D the bits, a seed is `int32[2]`:

        encode          x float32 [B, X], seed           probabilities, code    float32 [B, D]
        decode          code float32 [B, D]              probabilities          float32 [B, X]
        sample          num_samples int32 [], seed       images, code           float32 [N, X], [N, D]
        log_likelihood  x float32 [B, X], seed           log_likelihood         float32 [B]
        reconstruct     x float32 [B, X], seed           probabilities          float32 [B, X]

    `log_likelihood` is the importance-weighted bound of log p(x) in nats, with the log Z that the prior
    stores inside. `sample` goes on from the stored chains. `encode` draws the code, of which later groups
    of probabilities depend on earlier bits; `reconstruct` decodes such a draw.

    Args:
      model: trained; anchor its log Z first (`DVAE.anchor_log_partition`).
      path: a new folder.
      num_importance_samples: K of `log_likelihood`.
      num_sweeps: block Gibbs sweeps of `sample`.

    Returns:
      The folder.

    Raises:
      ValueError: if a count is below 1.
      FileExistsError: if there is something at `path`.
    """
    for name, count in (("num_importance_samples", num_importance_samples), ("num_sweeps", num_sweeps)):
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}")
    path = pathlib.Path(path)
    if path.exists():
        raise FileExistsError(f"path: expected a new folder, got {path}, which exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        module = tf.Module()
        # What the graphs read; a Keras layer would have to be known to whoever loads it.
        module.state = tuple(variable.value for variable in model.variables)
        functions = _functions(model, num_importance_samples, num_sweeps)
        tf.saved_model.save(module, str(partial), functions)
        description = _description(model, num_importance_samples, num_sweeps)
        storage.write_json(partial / DESCRIPTION_FILE, description)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def signatures(path: str | os.PathLike[str]) -> dict[str, tuple[str, str]]:
    """What the signatures of a SavedModel take and give: names, dtypes and shapes, as text."""

    def text(specs: dict[str, tf.TensorSpec]) -> str:
        return ", ".join(f"{name} {spec.dtype.name} {_shape(spec)}" for name, spec in sorted(specs.items()))

    loaded = tf.saved_model.load(str(path)).signatures
    return {
        name: (text(function.structured_input_signature[1]), text(function.structured_outputs))
        for name, function in loaded.items()
    }


def _shape(spec: tf.TensorSpec) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in spec.shape) + "]"


def _functions(model: DVAE, num_importance_samples: int, num_sweeps: int) -> dict[str, Callable[..., Any]]:
    x = tf.TensorSpec([None, model.mean_x.shape[0]], tf.float32, "x")
    z = tf.TensorSpec([None, model.recipe.structure.num_units], tf.float32, "code")
    seed = tf.TensorSpec([2], tf.int32, "seed")
    count = tf.TensorSpec([], tf.int32, "num_samples")

    def encode(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        code = model.encode(x, 1, seed)
        return {"probabilities": tf.math.sigmoid(code.logits[0]), "code": code.z[0]}

    def decode(code: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model.decode(code)}

    def sample(num_samples: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        drawn = model.sample(num_samples, seed, num_sweeps)
        return {"images": drawn.images, "code": drawn.z}

    @tf.function(jit_compile=True)
    def bound(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        num_images = tf.shape(x)[0]
        block = likelihood_block(num_importance_samples, num_images)
        draw = functools.partial(model.binary_log_weights, x, block)
        return streamed_bound(draw, num_images, num_importance_samples, block, seed).log_likelihood

    def log_likelihood(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"log_likelihood": bound(x, seed) - tf.cast(model.prior.log_partition, tf.float32)}

    def reconstruct(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model.decode(model.encode(x, 1, seed).z[0])}

    takes = {
        encode: (x, seed),
        decode: (z,),
        sample: (count, seed),
        log_likelihood: (x, seed),
        reconstruct: (x, seed),
    }
    return {
        function.__name__: tf.function(function).get_concrete_function(*specs)
        for function, specs in takes.items()
    }


def _description(model: DVAE, num_importance_samples: int, num_sweeps: int) -> dict[str, Any]:
    return {
        "recipe": model.recipe.to_json(),
        "num_importance_samples": num_importance_samples,
        "num_sweeps": num_sweeps,
        "log_partition": float(model.prior.log_partition),
    } | provenance.describe()
