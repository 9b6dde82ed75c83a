"""Export of a trained model as a SavedModel that needs neither this package nor TFP, only TensorFlow.

The inputs and outputs of all signatures are tensors. Random draws follow from an explicit seed: the same seed
gives the same results as the live model.
"""

import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from . import storage
from .models import DVAE, LocalCode, LocalSamples
from .models.inputs import checked_codes, checked_images
from .runs import provenance

DESCRIPTION_FILE = "export.json"


def save(
    model: DVAE,
    path: str | os.PathLike[str],
    num_importance_samples: int = 1000,
    num_sweeps: int = 1000,
) -> pathlib.Path:
    r"""Writes a SavedModel, completely or not at all, and `export.json` next to its graph.

    Signatures (`B` and `N` are free, `X` is the number of pixels, `D` that of bits, a seed is `int32[2]`):

    | signature | inputs | outputs |
    | --- | --- | --- |
    | `encode` | `x` float32 `[B, X]`, `seed` | `probabilities`, `code` float32 `[B, D]` |
    | `decode` | `code` float32 `[B, D]` | `probabilities` float32 `[B, X]` |
    | `sample` | `num_samples` int32 `[]`, `seed` | `images` float32 `[N, X]`, `code` float32 `[N, D]` |
    | `log_likelihood` | `x` float32 `[B, X]`, `seed` | `log_likelihood` float32 `[B]` |
    | `reconstruct` | `x` float32 `[B, X]`, `seed` | `probabilities` float32 `[B, X]` |

    `log_likelihood` is the importance-weighted bound of $\log p(x)$ in nats, with the $\log Z$ stored in the
    prior. `sample` continues the stored chains. `encode` draws the code; the probabilities of a later group
    depend on the bits drawn before it. `reconstruct` decodes such a draw. With local variables, `encode` and
    `sample` return them as well, and `decode` takes them: `local` float32 `[B, Y]`. A Gaussian code has its
    means in place of probabilities. Images and codes of values that the model does not take are an
    `InvalidArgumentError`. If the model knows the shape of its images, (height, width) or (height, width, 3),
    it is `image_shape` of the loaded object and of `export.json`.

    Args:
      model: a trained model whose $\log Z$ has been measured (`DVAE.measure_log_partition`).
      path: a new folder.
      num_importance_samples: K of `log_likelihood`.
      num_sweeps: block Gibbs sweeps of `sample`.

    Returns:
      The folder.

    Raises:
      ValueError: if a count is below 1.
      FileExistsError: if `path` exists.
    """
    for name, count in (("num_importance_samples", num_importance_samples), ("num_sweeps", num_sweeps)):
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}")
    path = storage.as_path(path)
    if path.exists():
        raise FileExistsError(f"path: expected a new folder, got {path}, which exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        module = tf.Module()
        # The variables alone: loading a Keras layer would need its class.
        module.state = tuple(variable.value for variable in model.variables)
        if model.image_shape is not None:
            # A SavedModel keeps no constants.
            module.image_shape = tf.Variable(model.image_shape, trainable=False)
        functions = _functions(model, num_importance_samples, num_sweeps)
        tf.saved_model.save(module, str(partial), functions)
        description = _description(model, num_importance_samples, num_sweeps)
        storage.write_json(partial / DESCRIPTION_FILE, description)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def signatures(path: str | os.PathLike[str]) -> dict[str, tuple[str, str]]:
    """The inputs and outputs of a SavedModel's signatures: names, dtypes and shapes, as text."""

    def text(specs: dict[str, tf.TensorSpec]) -> str:
        return ", ".join(f"{name} {spec.dtype.name} {_shape(spec)}" for name, spec in sorted(specs.items()))

    loaded = tf.saved_model.load(str(storage.as_path(path))).signatures
    return {
        name: (text(function.structured_input_signature[1]), text(function.structured_outputs))
        for name, function in loaded.items()
    }


def _shape(spec: tf.TensorSpec) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in spec.shape) + "]"


def _functions(model: DVAE, num_importance_samples: int, num_sweeps: int) -> dict[str, Callable[..., Any]]:
    x = tf.TensorSpec([None, model.mean_x.shape[0]], tf.float32, "x")
    z = tf.TensorSpec([None, model.recipe.structure.num_units], tf.float32, "code")
    local = tf.TensorSpec([None, model.num_local], tf.float32, "local")
    seed = tf.TensorSpec([2], tf.int32, "seed")
    count = tf.TensorSpec([], tf.int32, "num_samples")

    def images(x: tf.Tensor) -> tf.Tensor:
        return checked_images(x, model.num_pixels, model.pixel_values, assert_in_graph=True)

    def encode(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        code = model.encode(images(x), 1, seed)
        found = {"probabilities": model.posterior.means(code.logits[0]), "code": code.z[0]}
        return found | {"local": code.local[0]} if isinstance(code, LocalCode) else found

    def decode(code: tf.Tensor, local: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        code = checked_codes(code, model.recipe.structure.num_units, "code", assert_in_graph=True)
        if local is not None:
            local = checked_codes(local, model.num_local, "local", assert_in_graph=True)
        return {"probabilities": model.decode(code, local)}

    def sample(num_samples: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        drawn = model.sample(num_samples, seed, num_sweeps)
        found = {"images": drawn.images, "code": drawn.z}
        return found | {"local": drawn.local} if isinstance(drawn, LocalSamples) else found

    def log_likelihood(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"log_likelihood": model.log_likelihood(images(x), num_importance_samples, seed)}

    def reconstruct(x: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model.reconstruct(images(x), seed)}

    takes = {
        encode: (x, seed),
        decode: (z, local)[: 1 + bool(model.num_local)],
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
        "image_shape": model.image_shape,
    } | provenance.describe()
