"""Round trips: configurations, checkpoints, Keras weights and SavedModels give the same results."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conformance import registry
from conformance.objects import LIKELIHOODS, SAMPLERS
from conformance.table import CASES
from conformance.test_modes import PROGRAMS, assert_near

OBJECTS = {name: case for name, case in CASES.items() if case.make}
_NO_VARIABLES = {f"models.{name}" for name in LIKELIHOODS} | {f"samplers.{name}" for name in SAMPLERS}
LAYERS = {name: case for name, case in OBJECTS.items() if name not in _NO_VARIABLES}
# One of each kind; the others exercise the same code of TensorFlow.
SAVED = (
    "rbm.block_gibbs",
    "rbm.energy",
    "rbm.exact.log_partition",
    "priors.OverlappingRelaxation-density",
    "priors.OverlappingRelaxation-sample",
    "smoothing.Exponential-density",
    "priors.BoltzmannPrior-density",
    "posterior.Posterior-bits",
)


def each(cases, slow=()):
    return [pytest.param(name, id=name, marks=[pytest.mark.slow] if name in slow else []) for name in cases]


def made(name):
    case = CASES[name]
    (dtype,) = next(iter(case.programs.values())).dtypes[:1]
    return case.make(dtype)


def results(name, layer):
    """Results of a case with another layer in place of its own: of programs without draws, or else of all."""
    found, programs = [], CASES[name].programs.values()
    for program in [each for each in programs if not each.draws] or programs:
        nest = program.of(layer)(*program.given(3, program.dtypes[0]))
        found += tf.nest.flatten(nest, expand_composites=True)
    return found


def disturb(layer):
    """Values far from where a new layer starts."""
    rng = np.random.default_rng(1)
    for variable in layer.variables:
        value = np.asarray(variable)
        if value.dtype.kind == "f":
            variable.assign(value + rng.uniform(0.1, 0.5, value.shape).astype(value.dtype))
        else:
            variable.assign(value + 1)
    return layer


def assert_same_variables(found, expected):
    assert [v.path for v in found.variables] == [v.path for v in expected.variables]
    for one, other in zip(found.variables, expected.variables, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, one.path)


@pytest.mark.parametrize("name", each(OBJECTS))
def test_configuration(name):
    thing = made(name)
    assert type(thing) is registry.found_names()[name]
    config = thing.get_config()
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
    assert type(other) is type(thing)
    assert other.get_config() == config
    if name not in LAYERS:
        assert other == thing
        return
    # Builds layers that create variables at the first call.
    results(name, other)
    for mine, theirs in zip(other.variables, thing.variables, strict=True):
        mine.assign(theirs)
    assert_near(results(name, other), results(name, thing), 1e-6)


class Holder(keras.Model):
    """Layers have no `save_weights` of their own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.built = True


def by_checkpoint(layer, other, folder):
    path = tf.train.Checkpoint(layer=layer).save(str(folder / "checkpoint"))
    restored = tf.train.Checkpoint(layer=other).restore(path)
    restored.assert_existing_objects_matched()
    restored.assert_consumed()


def by_keras(layer, other, folder):
    path = folder / "model.weights.h5"
    Holder(layer).save_weights(path)
    Holder(other).load_weights(path)


@pytest.mark.parametrize("name", each(LAYERS))
def test_variables(name, tmp_path):
    layer, other = made(name), made(name)
    for copy in (by_checkpoint, by_keras):
        disturb(layer)
        if layer.variables:
            with pytest.raises(AssertionError):
                assert_same_variables(other, layer)
        copy(layer, other, tmp_path)
        assert_same_variables(other, layer)


@pytest.mark.parametrize("name", each(PROGRAMS, slow=set(PROGRAMS) - set(SAVED)))
def test_saved_model(name, tmp_path):
    program = PROGRAMS[name]
    dtype = program.dtypes[0]
    module = tf.Module()
    module.run = program.compiled(dtype, False)
    # The variables that the graph reads.
    module.state = [variable.value for variable in getattr(program.owner(dtype), "variables", ())]
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for batch in (3, 7):
        given = program.given(batch, dtype)
        assert_near(loaded.run(*given), module.run(*given), 1e-6)
