"""What is not an image, or not a code, is refused by every method, before anything is changed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import evaluation, models
from support.tiny import NUM_PIXELS, recipe, rough_model

X = np.random.default_rng(0).integers(0, 2, (20, NUM_PIXELS)).astype(np.float32)
BITS = "expected bits, 0 or 1"
BAD = {
    "levels of 255": (255 * X, BITS),
    "gray levels": (0.5 * X, BITS),
    "nan": (np.full_like(X, np.nan), BITS),
    "an axis too many": (X[..., np.newaxis], r"\[B, 6\]"),
    "an axis too few": (X[0], r"\[B, 6\]"),
    "another size": (X[:, :5], r"\[B, 6\]"),
    "text": (np.full(X.shape, "a"), "expected numbers"),
}
METHODS = {
    "call": lambda model, x: model(x),
    "encode": lambda model, x: model.encode(x),
    "log_likelihood": lambda model, x: model.log_likelihood(x, 2),
    "binary_log_weights": lambda model, x: model.binary_log_weights(x, 2, (0, 0)),
    "relaxed_bound": lambda model, x: model.relaxed_bound(x, (0, 0)),
    "fit": lambda model, x: model.fit(x, verbose=0),
    "validation": lambda model, x: model.fit(X, validation_data=(x,), verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, verbose=0),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "evaluation.evaluate": lambda model, x: evaluation.evaluate(model, x, 2, num_temperatures=10),
    "evaluation.image_nll": lambda model, x: evaluation.image_nll(model, x, 2, (0, 0)),
    "evaluation.active_units": lambda model, x: evaluation.active_units(model, x),
}


@pytest.fixture(scope="module")
def model(request):
    with pytest.MonkeyPatch.context() as patch:
        from support.tiny import add_tiny_structures

        add_tiny_structures(patch)
        made = rough_model(validation_iw_samples=2)
        made.compile(jit_compile=False)
        return made


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_image_is_refused(method, bad, model):
    x, message = BAD[bad]
    before = [np.array(each) for each in model.variables]
    with pytest.raises(ValueError, match=message):
        METHODS[method](model, x)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.variables, strict=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, np.float16, bool])
def test_every_dtype_is_taken_as_array_and_as_tensor(dtype, model):
    expected = model.log_likelihood(X, 3).numpy()
    for given in (X.astype(dtype), tf.constant(X.astype(dtype)), X.astype(dtype).tolist()):
        np.testing.assert_array_equal(model.log_likelihood(given, 3).numpy(), expected)
    z = model.encode(X.astype(dtype)).z[0]
    decoded = model.decode(z.numpy().astype(dtype)).numpy()
    np.testing.assert_array_equal(decoded, model.decode(z).numpy())


def test_numpy_counts_are_taken(model):
    assert model.log_likelihood(X, np.int64(3)).shape == (20,)
    assert model.encode(X, np.int64(3)).z.shape == (3, 20, 6)
    assert model.sample(np.int64(3), num_sweeps=np.int64(2)).z.shape == (3, 6)
    with pytest.raises(ValueError, match=r"num_importance_samples: .* got 2\.0"):
        model.log_likelihood(X, 2.0)


@pytest.mark.parametrize(
    ("z", "message"), [(np.zeros((2, 5)), r"\[\.\.\., 6\]"), (np.full((2, 6), np.inf), "finite")]
)
def test_a_wrong_code_is_refused(z, message, model):
    with pytest.raises(ValueError, match=f"z: expected .*{message}"):
        model.decode(z)


@pytest.mark.parametrize("bad", ["levels of 255", "nan"])
def test_wrong_batches_of_a_dataset_are_refused(bad, model):
    batches = tf.data.Dataset.from_tensor_slices(BAD[bad][0]).batch(5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=BITS):
        model.fit(batches, verbose=0)


@pytest.mark.slow
def test_validation_of_gray_levels_is_that_of_binarized_images():
    """Against the mean over all images, of which gray levels of 1/2 draw each as often."""
    model = rough_model(dynamic_binarization=True, validation_iw_samples=1000)
    model.compile(jit_compile=False)
    bits = model.evaluate(X, verbose=0, return_dict=True)["nll"]
    assert bits == pytest.approx(-model.log_likelihood(X, 2000).numpy().mean(), abs=0.05)
    gray = np.full_like(X, 0.5)
    found = model.evaluate(np.repeat(gray, 20, 0), batch_size=400, verbose=0, return_dict=True)["nll"]
    every = np.array(np.meshgrid(*[[0, 1]] * NUM_PIXELS)).reshape(NUM_PIXELS, -1).T
    expected = -model.log_likelihood(every, 2000).numpy()
    assert abs(found - expected.mean()) < 5 * expected.std() / 20
    # The "NLL" of the gray image itself is another number.
    with pytest.raises(ValueError, match=BITS):
        model.log_likelihood(gray, 20)


@pytest.mark.slow
def test_weights_of_samples_weigh_the_bounds():
    """All weights 0 leave the parameters where weight decay alone takes them; weights of 1 change nothing."""

    def trained(**kwargs):
        model = rough_model(weight_decay=0.0)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
        model.fit(X, batch_size=20, shuffle=False, verbose=0, **kwargs)
        return [np.array(each) for each in model.trainable_variables]

    plain, ones = trained(), trained(sample_weight=np.ones(20))
    zeros = trained(sample_weight=np.zeros(20))
    start = [np.array(each) for each in rough_model(weight_decay=0.0).trainable_variables]
    twice = trained(sample_weight=np.full(20, 2.0))
    for first, second in zip(plain, ones, strict=True):
        np.testing.assert_array_equal(first, second)
    for first, second in zip(zeros, start, strict=True):
        np.testing.assert_array_equal(first, second)
    for one, two, zero in zip(plain, twice, start, strict=True):
        np.testing.assert_allclose(two - zero, 2 * (one - zero), atol=2e-5)


def test_what_the_bound_does_not_use_is_refused(model):
    for name, value in {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae"]}.items():
        with pytest.raises(ValueError, match=f"{name}: expected none"):
            models.DVAE(recipe(), X.mean(0)).compile(**{name: value})
    with pytest.raises(ValueError, match="class_weight: expected none"):
        model.fit(X, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(NotImplementedError, match=r"dvae_tf\.export\.save"):
        model.export("somewhere")


@pytest.mark.slow
def test_batches_have_equal_parts_for_all_replicas():
    model = models.DVAE(recipe(num_replicas=2, train_batchsize=10), X.mean(0))
    model.compile(jit_compile=False)
    with pytest.raises(ValueError, match="multiples of num_replicas, 2, got 10 and a last batch of 5"):
        model.fit(X[:15], batch_size=10, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a multiple of num_replicas, 2"):
        model.fit(tf.data.Dataset.from_tensor_slices(X[:15]).batch(5), verbose=0)
    model.fit(X, batch_size=10, verbose=0)


def test_a_model_is_not_made_in_the_scope_of_a_strategy():
    with (
        tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
        pytest.raises(ValueError, match="strategy: expected a model made outside"),
    ):
        models.DVAE(recipe(), X.mean(0))


@pytest.mark.parametrize(
    "default",
    [
        "float64",
        pytest.param("float16", marks=pytest.mark.slow),
        pytest.param("bfloat16", marks=pytest.mark.soak),
    ],
)
def test_the_model_is_in_float32_whatever_the_default(default):
    expected = rough_model().log_likelihood(X, 3).numpy()
    before = keras.config.floatx()
    keras.config.set_floatx(default)
    try:
        model = rough_model()
        found = model.log_likelihood(X, 3).numpy()
        with pytest.raises(ValueError, match=f"dtype: expected float32.* got {default}"):
            models.DVAE(recipe(), X.mean(0), dtype=default)
        model.compile(jit_compile=False)
        model.fit(X, verbose=0)
    finally:
        keras.config.set_floatx(before)
    np.testing.assert_array_equal(found, expected)
