"""`model.save("model.keras")` and `keras.saving.load_model` give the same model, bit for bit."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from conformance.objects import ESTIMATORS, MODELS, NETWORKS, PRIORS, SMOOTHINGS
from dvae_tf import config, models, priors, samplers, smoothing
from support.keras_files import assert_same_state, assert_same_variables, saved_and_loaded
from support.tiny import NUM_PIXELS, all_bits, recipe, rough_model, struct_of

X = all_bits(NUM_PIXELS)[::3].astype(np.float32)
LAYERS = SMOOTHINGS | PRIORS | NETWORKS | {"ControlVariate": ESTIMATORS["ControlVariate"]}


@pytest.fixture(autouse=True)
def no_warnings():
    """Keras warns of what it leaves out of a file or does not restore."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def trained(model):
    """Every variable, those of the optimizer included, far from its start."""
    for _ in range(2):
        model.update(tf.constant(X))
    model.measure_log_partition((0, 1))
    return model


def compiled(model, **kwargs):
    model.compile(**kwargs)
    return model


def results(model):
    return {
        "likelihood": model.log_likelihood(X, 5, (0, 2)),
        "codes": model.encode(X, 2, (0, 3)),
        "samples": model.sample(4, (0, 4), num_sweeps=3),
        "reconstructions": model(X),
    }


def assert_same_results(found, expected):
    for name, values in results(expected).items():
        for one, other in zip(tf.nest.flatten(results(found)[name]), tf.nest.flatten(values), strict=True):
            np.testing.assert_array_equal(one, other, name)


# --- DVAE, with the networks of the library -----------------------------------------------------


# One system of each paper, and of the bits with and without state of its own; the others are soak tests.
KINDS = ("concrete", "dvae_spike_exp", "dvaepp_exp", "dvaes_power", "gumbolt", "gaussian", "rebar", "vimco")


def _marks(baseline):
    if baseline == "dvaes_gi":
        return []
    return pytest.mark.slow if baseline in KINDS else pytest.mark.soak


@pytest.mark.parametrize(
    ("baseline", "changes"),
    [
        pytest.param(baseline, changes, marks=_marks(baseline))
        for baseline, changes in [
            *((baseline, {}) for baseline in config.BASELINES),
            ("dvaes_exp", {"doubly_reparameterized": True}),
            ("dvaes_power", {"sampler": "pa"}),
            ("dvaes_power", {"sampler": "pt"}),
            ("dvaes_power", {"num_replicas": 2, "train_batchsize": 20, "num_tracking_chains": 5}),
        ]
    ],
)
def test_every_system(baseline, changes, tmp_path):
    model = trained(compiled(rough_model(struct_of(baseline), k=2, baseline=baseline, seed=3, **changes)))
    found = saved_and_loaded(model, tmp_path)
    assert type(found) is models.DVAE
    assert found.recipe == model.recipe
    assert_same_state(found, model)
    assert_same_results(found, model)
    # A new model of the same configuration has other variables, so that none of the above holds by itself.
    new = compiled(models.DVAE.from_config(model.get_config()))
    changed = [
        np.any(np.asarray(one) != np.asarray(other))
        for one, other in zip(new.variables, model.variables, strict=True)
    ]
    assert np.mean(changed) > 0.9
    with pytest.raises(AssertionError):
        assert_same_results(new, model)


def test_a_file_without_the_chains_is_noticed(tmp_path, monkeypatch):
    def load_all_but_chains(prior, store):
        chains = [variable for variable in prior.variables if variable.name.startswith("sampler")]
        kept = [np.asarray(variable) for variable in chains]
        keras.layers.Layer.load_own_variables(prior, store)
        for variable, value in zip(chains, kept, strict=True):
            variable.assign(value)

    model = trained(compiled(rough_model()))
    monkeypatch.setattr(priors.BoltzmannPrior, "load_own_variables", load_all_but_chains)
    found = saved_and_loaded(model, tmp_path)
    with pytest.raises(AssertionError, match="sampler"):
        assert_same_variables(found.variables, model.variables)


def test_a_model_that_is_not_compiled(tmp_path):
    model = rough_model()
    found = saved_and_loaded(model, tmp_path)
    assert not found.compiled
    assert_same_variables(found.variables, model.variables)
    model.compile()
    model.save(tmp_path / "compiled.keras")
    assert not keras.saving.load_model(tmp_path / "compiled.keras", compile=False).compiled


def test_frozen_layers(tmp_path):
    model = rough_model("tiny-2")
    model.prior.trainable = False
    model.posterior.encoders[0].first[0].trainable = False
    found = saved_and_loaded(trained(compiled(model)), tmp_path)
    assert [each.path for each in found.trainable_variables] == [
        each.path for each in model.trainable_variables
    ]
    assert len(found.trainable_variables) == len(rough_model("tiny-2").trainable_variables) - 4
    assert_same_state(found, model)


def test_a_configuration_of_version_0_1():
    """It has neither a dtype policy nor frozen layers."""
    model = rough_model("tiny-2")
    older = {name: value for name, value in model.get_config().items() if name not in ("dtype", "frozen")}
    assert models.DVAE.from_config(older).get_config() == model.get_config()


@pytest.mark.parametrize("policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"])
def test_the_dtype_policy_is_that_of_the_model(policy, tmp_path):
    """Not that of the process that loads it."""
    model, full = (models.DVAE(recipe("tiny-2"), X.mean(0), dtype=dtype) for dtype in (policy, "float32"))
    found = saved_and_loaded(model, tmp_path)
    assert keras.config.dtype_policy().name == "float32"
    assert found.decoder.first[0].compute_dtype == policy.removeprefix("mixed_")
    np.testing.assert_array_equal(found(X), model(X))
    assert np.any(np.asarray(model(X)) != np.asarray(full(X)))


NEW_PROCESS = """
import sys
import keras, numpy as np
from dvae_tf import models

keras.config.set_dtype_policy("mixed_bfloat16")
model = keras.saving.load_model(sys.argv[1])
variables = [np.asarray(variable) for variable in model.variables]
np.savez(sys.argv[2], *variables, images=model.sample(3, 1, 2).images)
"""


@pytest.mark.slow
def test_a_new_process(tmp_path):
    settings = config.recipe("digits", "1-layer-small", "dvaes_power", 1, num_chains=5, num_sweeps=1)
    model = models.DVAE(settings, np.full(NUM_PIXELS, 0.4))
    for variable in model.variables:
        variable.assign(np.asarray(variable) + (0.1 if variable is model.mean_x else 1))
    model.save(tmp_path / "model.keras")
    files = [str(tmp_path / name) for name in ("model.keras", "found.npz")]
    subprocess.run([sys.executable, "-c", NEW_PROCESS, *files], check=True, timeout=240)
    found = np.load(tmp_path / "found.npz")
    for number, variable in enumerate(model.variables):
        np.testing.assert_array_equal(found[f"arr_{number}"], variable, variable.path)
    np.testing.assert_array_equal(found["images"], model.sample(3, 1, 2).images)


# --- DVAE, with the user's own parts ------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class FirstEncoder(keras.layers.Layer):
    """A layer of a user whose parts get their names, and their variables, from Keras."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden, self.output_layer = keras.layers.Dense(5, "relu"), keras.layers.Dense(units)

    def call(self, x, training=False):
        return self.output_layer(self.hidden(x))

    def get_config(self):
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("tests")
class NextEncoder(FirstEncoder):
    def call(self, x, before, training=False):
        x = tf.broadcast_to(x, tf.concat([tf.shape(before)[:-1], tf.shape(x)[-1:]], 0))
        return super().call(tf.concat([x, before], -1))


@keras.saving.register_keras_serializable("tests")
def normal_pixels(means):
    return tfd.Independent(tfd.Normal(means, 0.5), 1)


def own_decoder(name=None):
    inputs = keras.Input((6,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5, "tanh")(inputs))
    return keras.Model(inputs, keras.layers.Dense(NUM_PIXELS)(hidden), name=name)


def own_model(struct="tiny-2", name=None, **kwargs):
    names = [None, None] if name is None else [f"{name}_{group}" for group in range(2)]
    encoders = [FirstEncoder(3, name=names[0]), NextEncoder(3, name=names[1])]
    if struct == "tiny":
        encoders = keras.Sequential([keras.layers.Dense(5, "relu"), keras.layers.Dense(6)], name=name)
    parts = {"encoder": encoders, "decoder": own_decoder(name), "likelihood": normal_pixels} | kwargs
    return models.DVAE(recipe(struct, k=2), X.mean(0), **parts)


@pytest.mark.parametrize("name", [None, pytest.param("mine", marks=pytest.mark.slow)])
@pytest.mark.parametrize("struct", ["tiny-2", pytest.param("tiny", marks=pytest.mark.slow)])
def test_own_parts(struct, name, tmp_path):
    model = trained(compiled(own_model(struct, name), optimizer=keras.optimizers.Adam(0.1)))
    found = saved_and_loaded(model, tmp_path)
    assert found.likelihood is normal_pixels
    assert_same_state(found, model)
    assert_same_results(found, model)
    # And once more, from what was loaded.
    assert_same_state(saved_and_loaded(found, tmp_path), model)


def test_own_parts_that_keras_cannot_find_are_named(tmp_path):
    def laplace_pixels(means):
        return tfd.Independent(tfd.Laplace(means, 0.5), 1)

    model = own_model(likelihood=laplace_pixels)
    model.save(tmp_path / "model.keras")
    with pytest.raises(TypeError, match="laplace_pixels"):
        keras.saving.load_model(tmp_path / "model.keras")
    given = {"laplace_pixels": laplace_pixels}
    found = keras.saving.load_model(tmp_path / "model.keras", custom_objects=given)
    assert found.likelihood is laplace_pixels


# --- training resumes ---------------------------------------------------------------------------

OPTIMIZERS = {
    "recipe": lambda: None,
    "momentum": lambda: keras.optimizers.SGD(1e-2, momentum=0.9),
    "accumulation": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=3),
    "scaled by hand": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-2), initial_scale=2.0**40
    ),
}


def fitting(optimizer, dtype="float32", **kwargs):
    settings = recipe("tiny", k=2, ais_chains=10, validation_ais_temperatures=5, validation_iw_samples=2)
    model = models.DVAE(settings, X.mean(0), dtype=dtype)
    return compiled(model, optimizer=OPTIMIZERS[optimizer](), **kwargs)


def fit(model, first, last):
    """Epochs [first, last) of three steps each; returns what Keras records of them."""
    history = model.fit(
        X, batch_size=8, initial_epoch=first, epochs=last, validation_data=(X[:5],), shuffle=False, verbose=0
    )
    return history.history


@pytest.mark.parametrize(
    ("optimizer", "dtype", "jit_compile"),
    [
        ("recipe", "float32", False),
        ("recipe", "float32", True),
        ("recipe", "mixed_bfloat16", True),
        ("recipe", "mixed_float16", True),
        ("momentum", "float32", False),
        ("accumulation", "float32", False),
        ("accumulation", "mixed_float16", False),
        ("scaled by hand", "mixed_float16", False),
    ],
)
@pytest.mark.slow
def test_fit_continues_as_if_it_had_not_been_interrupted(optimizer, dtype, jit_compile, tmp_path):
    whole, half = (fitting(optimizer, dtype, jit_compile=jit_compile) for _ in range(2))
    expected = fit(whole, 0, 4)
    fit(half, 0, 2)
    found = saved_and_loaded(half, tmp_path)
    assert type(found.optimizer) is type(half.optimizer)
    assert found.jit_update == jit_compile
    assert_same_state(found, half)
    continued = fit(found, 2, 4)
    assert continued == {name: values[2:] for name, values in expected.items()}
    assert_same_state(found, whole)


@pytest.mark.slow
def test_a_file_without_the_seed_is_noticed(tmp_path, monkeypatch):
    whole, half = (fitting("recipe", jit_compile=False) for _ in range(2))
    fit(whole, 0, 2)
    fit(half, 0, 1)
    config_of = models.DVAE.get_config
    monkeypatch.setattr(
        models.DVAE,
        "get_config",
        lambda model: config_of(model) | {"recipe": model.recipe.to_json() | {"seed": 1}},
    )
    found = saved_and_loaded(half, tmp_path)
    assert_same_state(found, half)
    fit(found, 1, 2)
    with pytest.raises(AssertionError):
        assert_same_variables(found.variables, whole.variables)


def test_a_clone_has_the_configuration_and_new_variables():
    model = trained(compiled(rough_model("tiny", seed=2)))
    clone = keras.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert type(clone.optimizer) is type(model.optimizer)
    assert clone.optimizer is not model.optimizer
    assert int(clone.optimizer.iterations) == int(clone.prior.num_updates) == 0
    assert_same_variables(clone.variables, models.DVAE.from_config(model.get_config()).variables)
    clone.set_weights(model.get_weights())
    assert_same_variables(clone.variables, model.variables)
    clone.update(tf.constant(X))
    assert int(clone.prior.num_updates) == 3
    assert int(model.prior.num_updates) == 2


# --- layers, alone and in a user's model --------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Holder(keras.Model):
    """A model that has one layer."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer
        self.built = True

    def get_config(self):
        return super().get_config() | {"layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)


def disturbed(layer):
    rng = np.random.default_rng(1)
    for variable in layer.variables:
        noise = rng.uniform(0.1, 0.5, variable.shape) if "float" in variable.dtype else 1
        variable.assign(np.asarray(variable) + np.asarray(noise, variable.dtype))
    return layer


def case_results(case, layer, dtype):
    found = []
    for program in case.programs.values():
        nest = program.of(layer)(*program.given(3, dtype))
        found += tf.nest.flatten(nest, expand_composites=True)
    return found


@pytest.mark.parametrize("dtype", [tf.float32, pytest.param(tf.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name, dtype, tmp_path):
    case = LAYERS[name]
    layer = disturbed(case.make(dtype))
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    found = saved_and_loaded(Holder(layer), tmp_path).layer
    assert type(found) is type(copy) is type(layer)
    assert found.get_config() == layer.get_config()
    assert_same_variables(found.variables, layer.variables)
    for one, other in zip(case_results(case, found, dtype), case_results(case, layer, dtype), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_layer_of_the_library_is_tried():
    """Whatever Keras knows of the package."""
    known = {
        thing
        for name, thing in keras.saving.get_custom_objects().items()
        if name.startswith("dvae_tf>") and isinstance(thing, type) and issubclass(thing, keras.layers.Layer)
    }
    assert known == {type(case.make(tf.float32)) for case in (LAYERS | MODELS).values()}


@keras.saving.register_keras_serializable("tests")
class BinaryCode(keras.layers.Layer):
    """A user's layer: log-odds to relaxed bits, whose KL from a Boltzmann prior is a loss."""

    def __init__(self, relaxation, prior, **kwargs):
        super().__init__(**kwargs)
        self.relaxation, self.prior = relaxation, prior

    def call(self, logits, training=False):
        q = self.relaxation(logits)
        step = tf.cast(self.prior.num_updates, tf.int32)
        zeta = q.sample(seed=tf.stack([3, step]))
        log_prior = self.prior(training=training).log_prob(zeta)
        self.add_loss(tf.reduce_mean(tf.reduce_sum(q.log_prob(zeta), -1) - log_prior))
        return zeta

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "relaxation": serialize(self.relaxation),
            "prior": serialize(self.prior),
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(deserialize(config.pop("relaxation")), deserialize(config.pop("prior")), **config)


@keras.saving.register_keras_serializable("tests")
class Autoencoder(keras.Model):
    """The same as a subclass that makes its layers itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = keras.layers.Dense(6), keras.layers.Dense(NUM_PIXELS, "sigmoid")
        self.code = BinaryCode(*code_parts())

    def call(self, x, training=False):
        return self.decoder(self.code(self.encoder(x), training=training))


def code_parts():
    """A relaxation with a weight, shared by the posterior and the prior."""
    relaxation = smoothing.Exponential(4.0, trainable_beta=True)
    sampler = samplers.PersistentGibbs(num_chains=8, num_sweeps=2)
    return relaxation, priors.BoltzmannPrior(3, 3, relaxation, sampler, seed=5)


def functional():
    inputs = keras.Input((NUM_PIXELS,))
    zeta = BinaryCode(*code_parts())(keras.layers.Dense(6)(inputs))
    return keras.Model(inputs, keras.layers.Dense(NUM_PIXELS, "sigmoid")(zeta))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(functional, id="functional"),
        pytest.param(Autoencoder, id="subclass"),
    ],
)
@pytest.mark.slow
def test_models_of_a_user(make, tmp_path):
    def fit(model, epochs):
        history = model.fit(X, X, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
        return history.history["loss"]

    keras.utils.set_random_seed(1)
    model = make()
    model.compile(keras.optimizers.Adam(1e-2), loss="binary_crossentropy")
    fit(model, 2)
    found = saved_and_loaded(model, tmp_path)
    assert_same_state(found, model)
    np.testing.assert_array_equal(found(X), model(X))
    code, same = (
        next(layer for layer in each.layers if isinstance(layer, BinaryCode)) for each in (model, found)
    )
    assert same.prior.smoothing is same.relaxation
    np.testing.assert_array_equal(
        same.prior.sample_binary(5, 3, (0, 1)), code.prior.sample_binary(5, 3, (0, 1))
    )
    assert int(same.prior.num_updates) == 6
    assert fit(found, 1) == fit(model, 1)
    assert_same_state(found, model)
