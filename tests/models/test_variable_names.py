"""Files name variables by their place in the model, whatever the process has made before."""

import keras
import numpy as np
import pytest

from dvae_tf import models, priors, smoothing, storage
from dvae_tf.models.variable_names import current_names, named_state, named_variables
from support.tiny import NUM_PIXELS, recipe

MEAN = np.full(NUM_PIXELS, 0.4)


def own_networks(names=False, decoder_first=False):
    """Unnamed networks, of which Keras numbers every layer; built in advance or when they are called."""

    def network(outputs, inputs=None):
        layers = [keras.layers.Dense(5, "tanh"), keras.layers.Dense(outputs)]
        if inputs:
            layers = [keras.Input([inputs]), *layers]
        return keras.Sequential(layers, name=f"net{outputs}" if names else None)

    if decoder_first:
        decoder, encoder = network(NUM_PIXELS), network(6, NUM_PIXELS)
    else:
        encoder, decoder = network(6, NUM_PIXELS), network(NUM_PIXELS)
    return {"encoder": encoder, "decoder": decoder}


def trained(**parts):
    model = models.DVAE(recipe(num_train_iter=10), MEAN, **parts)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "float" in str(variable.dtype):
            variable.assign(rng.normal(size=variable.shape))
    return model


@pytest.mark.parametrize("decoder_first", [False, True])
def test_own_unnamed_networks_are_loaded_in_the_process_that_trained_them(decoder_first, tmp_path):
    first = trained(**own_networks())
    models.save_weights(first, tmp_path / "weights.npz")
    keras.layers.Dense(1)
    second = models.DVAE(recipe(num_train_iter=10), MEAN, **own_networks(decoder_first=decoder_first))
    models.load_weights(second, tmp_path / "weights.npz")
    for one, two in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two)


def test_files_before_names_by_place_are_loaded(tmp_path):
    """They hold Keras's paths, in the same order."""
    first = trained(**own_networks(names=True))
    old = {variable.path: np.asarray(variable) for variable in first.variables}
    assert any("net6" in path for path in old)
    assert set(old) != set(named_variables(first))
    storage.write_arrays(tmp_path / "weights.npz", old)
    second = models.DVAE(recipe(num_train_iter=10), MEAN, **own_networks())
    models.load_weights(second, tmp_path / "weights.npz")
    for one, two in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    # Other networks are refused, and nothing is assigned.
    wrong = {path.replace("kernel", "weight"): array for path, array in old.items()}
    storage.write_arrays(tmp_path / "wrong.npz", wrong)
    before = np.array(second.variables[1])
    with pytest.raises(storage.StorageError, match="missing variables"):
        models.load_weights(second, tmp_path / "wrong.npz")
    np.testing.assert_array_equal(before, second.variables[1])


@pytest.mark.parametrize("struct", ["tiny", "tiny-2"])
def test_a_shifted_gaussian_numbered_by_keras_is_loaded(struct):
    """As version 0.1 wrote it, in a process that had made other models before."""
    model = models.DVAE(recipe(struct, baseline="dvaes_gi"), MEAN)
    model.compile()
    expected = named_state(model)
    old = {}
    for number, (name, variable) in enumerate(expected.items()):
        for group in (1, 0):
            plain = f"shifted_gaussian_{group}" if group else "shifted_gaussian"
            for before, after in ("/", "/"), ("_", "_"):
                name = name.replace(f"{plain}{after}s", f"shifted_gaussian_{group + 7}{before}s")
        old[name] = np.full(variable.shape, number)
    assert set(old) != set(expected)
    found = current_names(old, expected)
    assert list(found) == list(expected)
    assert [array.flat[0] for array in found.values() if array.size] == [
        number for number, variable in enumerate(expected.values()) if np.size(variable)
    ]


def test_the_state_of_the_optimizer_is_named_by_place():
    """Two layers of one name have the same path in Keras: their slots come in order."""
    parts = {
        "encoder": keras.Sequential([keras.Input([NUM_PIXELS]), keras.layers.Dense(6, name="same")]),
        "decoder": keras.Sequential([keras.Input([6]), keras.layers.Dense(NUM_PIXELS, name="same")]),
    }
    model = models.DVAE(recipe(), MEAN, **parts)
    model.compile()
    state = named_state(model)
    assert len(state) == len(model.variables) + len(model.optimizer.variables)
    for name, variable in state.items():
        if name.startswith("adam/dvae_decoder_own.0.kernel"):
            assert tuple(variable.shape) == (6, NUM_PIXELS)
    assert {name.rpartition("_")[2] for name in state if "own.1.bias_" in name} == {"momentum", "velocity"}


def test_the_name_of_the_model_is_not_in_its_files():
    first, second = (models.DVAE(recipe(), MEAN, name=name) for name in ("dvae", "mine"))
    assert list(named_variables(first)) == list(named_variables(second))


def test_own_priors_and_relaxations_have_their_place():
    own = priors.BoltzmannPrior(3, 3, smoothing=smoothing.Power(5.0))
    model = models.DVAE(recipe(), MEAN, relaxation=smoothing.Power(5.0), prior=own)
    names = set(named_variables(model))
    assert {"dvae/prior/own.0.left_bias", "dvae/prior/own.2.weights"} <= names


def test_shared_names_are_refused():
    variable = keras.Variable(1.0, name="one")

    class Model:
        name, own_parts, variables = "dvae", frozenset(), (variable, variable)

    with pytest.raises(ValueError, match=r"distinct names, got \['one'\] twice"):
        named_variables(Model)
