"""What a run folder records of its images and of a user's own parts, and what it tells apart."""

import functools
import json

import keras
import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

from dvae_tf import runs, storage
from dvae_tf.training import inputs
from support.training import tiny_images


def sequential(units=8, activation="relu"):
    return keras.Sequential([keras.layers.Dense(units, activation), keras.layers.Dense(6)])


def functional(units=8, skip=False):
    x = keras.Input((6,))
    hidden = keras.layers.Dense(units, "relu")(x)
    return keras.Model(x, keras.layers.Dense(6)(x if skip else hidden))


class Fixed(keras.layers.Layer):
    """A width in the code alone."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(6)

    def call(self, x):
        return self.inner(x)


class Unsaved(keras.layers.Layer):
    """Its argument cannot be saved, so Keras refuses its configuration."""

    def __init__(self, inner):
        super().__init__()
        self.inner = [inner]

    def call(self, x):
        return self.inner[0](x)


class Scaled:
    """A likelihood with a number."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, logits):
        return tfd.Independent(tfd.Normal(logits, self.scale), 1)


def bernoulli(logits):
    return tfd.Independent(tfd.Bernoulli(logits), 1)


def captured(scale):
    return lambda logits: tfd.Independent(tfd.Normal(logits, scale), 1)


def compiled(source, filename, line):
    """A function of the source as if it stood at a line of a file, inside of another function."""
    names = {"tfd": tfd}
    lines = "\n" * line + f"def make_at_{line}():\n  return {source}"
    exec(compile(lines, filename, "exec"), names)
    return names[f"make_at_{line}"]()


PAIRS = {
    "units": (lambda: sequential(8), lambda: sequential(9)),
    "activation": (lambda: sequential(), lambda: sequential(activation="tanh")),
    "lambda activation": (
        lambda: sequential(activation=lambda x: x + 1),
        lambda: sequential(activation=lambda x: x * 1),
    ),
    "a layer more": (lambda: sequential(), lambda: keras.Sequential([keras.layers.Dense(6)])),
    "functional units": (lambda: functional(8), lambda: functional(9)),
    "functional wiring": (lambda: functional(), lambda: functional(skip=True)),
    "dtype": (lambda: keras.layers.Dense(6), lambda: keras.layers.Dense(6, dtype="mixed_bfloat16")),
    "list": (lambda: [sequential()], lambda: [sequential(), sequential()]),
    "class": (lambda: Fixed(), lambda: Unsaved(Fixed())),
    "function": (lambda: bernoulli, lambda: lambda logits: bernoulli(logits)),
    "sign": (lambda: lambda logits: bernoulli(logits), lambda: lambda logits: bernoulli(-logits)),
    "constant": (lambda: lambda logits: bernoulli(2 * logits), lambda: lambda logits: bernoulli(3 * logits)),
    "captured": (lambda: captured(1.0), lambda: captured(2.0)),
    "captured array": (lambda: captured(np.ones(6)), lambda: captured(np.full(6, 2.0))),
    "partial": (
        lambda: functools.partial(tfd.Normal, scale=1.0),
        lambda: functools.partial(tfd.Normal, scale=2.0),
    ),
    "attribute": (lambda: Scaled(1.0), lambda: Scaled(2.0)),
    "long list": (lambda: captured([0.0] * 200), lambda: captured([0.0] * 199 + [1.0])),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_parts_are_told_apart_and_recognized(pair):
    first, second = PAIRS[pair]
    described = inputs.describe(first())
    # Keras numbers the names of the second one otherwise.
    assert inputs.describe(first()) == described
    assert inputs.describe(second()) != described
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize("make", [sequential, functional, Fixed, lambda: Unsaved(Fixed())])
def test_a_part_that_has_been_built_is_the_same(make):
    part = make()
    before = inputs.describe(part)
    part(np.zeros((2, 6), np.float32))
    assert inputs.describe(part) == before


def test_code_may_move_in_its_file():
    source = "lambda logits: tfd.Independent(tfd.Normal(logits, 1.0), 1)"
    described = inputs.describe(compiled(source, "a.py", 0))
    assert inputs.describe(compiled(source, "b.py", 7)) == described
    activation = "__import__('keras').layers.Dense(3, lambda x: x + 1)"
    assert inputs.describe(compiled(activation, "a.py", 0)) == inputs.describe(
        compiled(activation, "b.py", 7)
    )
    assert inputs.describe(compiled(source.replace("1.0", "2.0"), "a.py", 0)) != described


def test_code_of_a_class_counts(monkeypatch):
    before = inputs.describe(Fixed())
    monkeypatch.setattr(Fixed, "call", lambda self, x: 2 * self.inner(x))
    assert inputs.describe(Fixed()) != before


def test_a_function_that_refers_to_itself_has_a_description():
    def loop(logits):
        return loop(logits)

    assert inputs.describe(loop) == {"class_name": "function"}


def test_an_object_without_attributes_has_a_description():
    class Slotted:
        __slots__ = ("scale",)

    assert inputs.describe(Slotted()) == {"class_name": "Slotted"}


def test_code_of_another_version_of_python_is_not_compared():
    here = inputs.inputs_of(tiny_images(), {"likelihood": lambda logits: bernoulli(logits)})
    there = inputs.inputs_of(tiny_images(), {"likelihood": lambda logits: bernoulli(-logits)})
    assert here.differences(there)
    there.parts["likelihood"]["python"] = "3.9"
    assert not here.differences(there)


def test_images_are_known_by_type_shape_and_content():
    images = tiny_images()
    found = inputs.inputs_of(images, {})
    assert not found.differences(inputs.inputs_of(images._replace(source="elsewhere"), {}))
    for split in ("train", "validation", "test"):
        pixels = getattr(images, split)
        for other in (1 - pixels, pixels[:-1], pixels.reshape(-1, 3), pixels.astype(bool)):
            changed = inputs.inputs_of(images._replace(**{split: other}, source="elsewhere"), {})
            (words,) = found.differences(changed)
            assert words.startswith(f"{split} images: folder has those of a test (SHA-256 ")
            assert "requested others, of elsewhere (" in words
    (words,) = found.differences(inputs.inputs_of(images._replace(image_shape=(3, 2)), {}))
    assert words == "image_shape: folder has (2, 3), requested (3, 2)"


def test_differences_of_parts_are_named_by_place():
    own = inputs.inputs_of(tiny_images(), {"encoder": sequential(8), "likelihood": None})
    other = inputs.inputs_of(tiny_images(), {"encoder": sequential(9), "likelihood": bernoulli})
    assert own.differences(other) == [
        "encoder.config.layers.0.config.units: folder has 8, requested 9",
        "likelihood: folder has that of the library, requested its own",
    ]


def test_inputs_come_back_from_their_file(tmp_path):
    assert runs.read_inputs(tmp_path) is None
    color = tiny_images()._replace(image_shape=(2, 1, 3))
    own = inputs.inputs_of(color, {"encoder": [functional()], "decoder": Unsaved(Fixed())})
    runs.write_inputs(tmp_path, own)
    assert runs.read_inputs(tmp_path) == own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": [8]}, r"image_shape: expected two positive .*, got \[8\]"),
        ({"image_shape": [8, -1]}, "image_shape: expected two positive integers"),
        ({"image_shape": "88"}, "image_shape: expected list"),
        ({"digests": {"train": 3}}, "digests: expected texts"),
        ({"graph": 3}, "graph: expected a digest"),
        ({"parts": None}, "parts: expected dict, got None"),
        ({"data_source": 1}, "data_source: expected str, got 1"),
    ],
)
def test_damaged_inputs_are_named(change, message, tmp_path):
    written = inputs.inputs_of(tiny_images(), {}).to_json()
    storage.write_json(tmp_path / "inputs.json", written | change)
    with pytest.raises(storage.StorageError, match=rf"inputs\.json: {message}"):
        runs.read_inputs(tmp_path)
    (tmp_path / "inputs.json").write_text("{")
    with pytest.raises(storage.StorageError, match=r"inputs\.json"):
        runs.read_inputs(tmp_path)
