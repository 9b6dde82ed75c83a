import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dvae_tf import config, models
from dvae_tf.models import blocks
from support.tiny import NUM_PIXELS, all_bits, exact_log_likelihood, prior_log_probs, recipe, rough_model


@pytest.mark.parametrize(
    "struct",
    [
        pytest.param("tiny", marks=pytest.mark.soak),
        pytest.param("tiny-lin", marks=pytest.mark.soak),
        pytest.param("tiny-2", marks=pytest.mark.slow),
    ],
)
def test_importance_weighted_bound_rises_to_the_exact_likelihood(struct):
    model = rough_model(struct)
    x = all_bits(NUM_PIXELS)[::5].astype(np.float32)
    exact = exact_log_likelihood(model, x)
    log_z = -prior_log_probs(model)[0]  # E(0) = 0, so log p(0) = -log Z
    bounds, errors = [], []
    for k in (1, 5, 50, 4000):
        draws = np.stack(
            [
                np.asarray(model.log_likelihood(x, k, (k, seed), log_z))
                for seed in range(200 if k < 4000 else 4)
            ]
        )
        bounds.append(draws.mean())
        errors.append(draws.mean(1).std() / np.sqrt(len(draws)))
    for lower, upper, error in zip(bounds, bounds[1:], errors, strict=False):
        assert lower <= upper + 4 * error
    assert bounds[0] < bounds[2]
    assert bounds[-1] == pytest.approx(exact.mean(), abs=4 * errors[-1] + 0.01)
    assert all(bound <= exact.mean() + 4 * error + 1e-4 for bound, error in zip(bounds, errors, strict=True))


def test_estimate_states_its_own_error():
    model = rough_model("tiny-2")
    x = all_bits(NUM_PIXELS)[::7].astype(np.float32)
    estimates = [model.estimate_likelihood(x, 300, (1, seed), 0.0) for seed in range(100)]
    draws = np.stack([np.asarray(each.log_likelihood) for each in estimates])
    stated = np.stack([np.asarray(each.variance) for each in estimates]).mean(0)
    ratio = draws.var(0, ddof=1) / stated
    assert 0.8 < ratio.mean() < 1.25


@pytest.mark.slow
def test_blocks_of_samples_make_no_difference(monkeypatch):
    """K that is no multiple of the block is cut, not rounded: compare with one block."""
    model = rough_model()
    x = all_bits(NUM_PIXELS).astype(np.float32)
    whole = model.estimate_likelihood(x, 3000, (0, 1), 0.0)
    monkeypatch.setattr(blocks, "_ROWS", 64 * 2048)
    cut = model.estimate_likelihood(x, 3000, (0, 2), 0.0)
    difference = np.asarray(whole.log_likelihood - cut.log_likelihood)
    error = np.sqrt(whole.variance + cut.variance)
    assert np.abs(difference / error).max() < 5
    # 4096 samples counted as 3000 would add 0.31.
    assert abs(difference.mean()) < 4 * error.mean() / np.sqrt(len(x))


@pytest.mark.slow
def test_relaxed_bound_is_a_bound_of_the_relaxed_model():
    """By quadrature-free means: with sharp smoothing it comes close to the discrete bound."""
    model = rough_model("tiny", k=50)
    x = all_bits(NUM_PIXELS)[::5].astype(np.float32)
    model.prior.log_partition.assign(-prior_log_probs(model)[0])
    draws = np.stack([np.asarray(model.relaxed_bound(x, (3, seed))[0]) for seed in range(60)])
    assert draws.mean() <= exact_log_likelihood(model, x).mean() + 0.1
    assert draws.mean() >= exact_log_likelihood(model, x).mean() - 1.0


def test_public_shapes():
    model = rough_model("tiny-2")
    x = all_bits(NUM_PIXELS)[:5].astype(np.float32)
    code = model.encode(x, 3, (0, 1))
    assert code.z.shape == code.logits.shape == (3, 5, 6)
    assert code.log_prob.shape == (3, 5)
    assert set(np.unique(code.z)) <= {0.0, 1.0}
    assert model.decode(code.z).shape == (3, 5, NUM_PIXELS)
    images, z = model.sample(7, (0, 1), num_sweeps=3)
    assert images.shape == (7, NUM_PIXELS)
    assert z.shape == (7, 6)
    assert model.log_likelihood(x, 10, 0).shape == (5,)
    np.testing.assert_array_equal(model.log_likelihood(x, 10, 4), model.log_likelihood(x, 10, (0, 4)))
    with pytest.raises(ValueError, match="num_importance_samples"):
        model.log_likelihood(x, 0)


def test_samples_follow_the_prior():
    model = rough_model("tiny", num_chains=50)
    z = np.asarray(model.sample(40_000, (0, 3), num_sweeps=100).z)
    counts = np.bincount((z @ 2 ** np.arange(6)[::-1]).astype(int), minlength=64)
    expected = np.exp(prior_log_probs(model)) * len(z)
    assert ((counts - expected) ** 2 / expected).sum() < 64 + 4 * np.sqrt(2 * 64)


def test_same_seed_same_model():
    values = [np.concatenate([np.ravel(w) for w in rough_model(scale=0).weights]) for _ in range(2)]
    np.testing.assert_array_equal(*values)
    other = np.concatenate([np.ravel(w) for w in rough_model(scale=0, seed=1).weights])
    assert np.abs(values[0] - other).max() > 0.1


def test_decoder_starts_at_the_mean_pixel():
    mean = np.array([0.0, 0.1, 0.3, 0.5, 0.9, 1.0], np.float32)
    model = models.DVAE(recipe("tiny-lin"), mean)
    bias = model.decoder.first[0].bias
    np.testing.assert_allclose(tf.sigmoid(bias), np.clip(mean, 0.001, 0.999), rtol=1e-5)


def test_recipe_of_the_optimizer():
    model = models.DVAE(recipe(num_train_iter=1000), np.full(NUM_PIXELS, 0.4))
    model.compile()
    rates = {}
    for step in (0, 10, 30, 590, 610, 740, 760, 940, 960):
        model.optimizer.iterations.assign(step)
        rates[step] = float(model.optimizer.learning_rate)
    factors = [0.1, 0.1, 1, 1, 1 / 3, 1 / 3, 0.1, 0.1, 1 / 33]
    np.testing.assert_allclose(list(rates.values()), 3e-3 * np.array(factors), rtol=1e-6)
    assert model.optimizer.epsilon == 1e-3
    weights = [float(model.kl_weight(tf.constant(step))) for step in (0, 150, 300, 999)]
    np.testing.assert_allclose(weights, [0, 0.5, 1, 1])


def test_weight_decay_is_half_the_squared_kernels_scales_and_couplings():
    model = rough_model("tiny-2", weight_decay=0.02)
    decayed = [
        v for v in model.trainable_variables if v.path.split("/")[-1] in ("kernel", "gamma", "weights")
    ]
    expected = 0.01 * sum(float(np.sum(np.square(v))) for v in decayed)
    assert float(tf.add_n(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert len(decayed) == len(model.trainable_variables) - 3 - 3 - 2  # offsets, output and prior biases


def test_kernels_start_at_variance_two_over_fan_in():
    """Also where the fan-in is split over two kernels."""
    model = models.DVAE(
        config.recipe("binarized_mnist", "2-layer-nonlin", "dvaes_power", 1), np.full(784, 0.1)
    )
    encoder = model.posterior.encoders[1]
    for kernel in (encoder.first[0].kernel, encoder.first[1].kernel):
        assert np.var(kernel) == pytest.approx(2 / 984, rel=0.05)
    assert np.var(model.decoder.later[-1].kernel) == pytest.approx(2 / 200, rel=0.05)
    shapes = [tuple(layer.kernel.shape) for layer in [*encoder.first, *encoder.later]]
    assert shapes == [(784, 200), (200, 200), (200, 200), (200, 200)]
    assert model.prior.num_left == model.prior.num_right == 200


def fit_data(count=400):
    rng = np.random.default_rng(0)
    return (rng.random((count, NUM_PIXELS)) < [0.1, 0.9, 0.5, 0.2, 0.8, 0.4]).astype(np.float32)


@pytest.mark.slow
def test_fit_has_a_validation_nll_to_stop_on():
    x = fit_data()
    model = models.DVAE(
        recipe(ais_chains=50, validation_ais_temperatures=20, validation_iw_samples=5), x.mean(0)
    )
    model.compile()
    stop = keras.callbacks.EarlyStopping("val_nll", mode="min", patience=0, min_delta=1e3)
    history = model.fit(x, batch_size=50, epochs=5, validation_data=(x,), verbose=0, callbacks=[stop])
    assert len(history.history["val_nll"]) == 2
    assert np.isfinite(history.history["objective"]).all()
    assert 2 < history.history["val_nll"][-1] < 8
    assert int(model.prior.num_updates) == int(model.optimizer.iterations) == 16


def test_fit_takes_the_users_own_parts():
    x = fit_data()

    class Encoder(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="mine")
            self.dense = keras.layers.Dense(6)

        def call(self, x, training=False):
            return self.dense(tf.reshape(x, [-1, NUM_PIXELS]))

    decoder = keras.Sequential([keras.layers.Dense(9, "tanh"), keras.layers.Dense(NUM_PIXELS)], name="back")

    def likelihood(means):
        return tfd.Independent(tfd.Normal(means, 0.5), 1)

    settings = recipe(ais_chains=50, validation_ais_temperatures=20, validation_iw_samples=5)
    model = models.DVAE(settings, x.mean(0), encoder=Encoder(), decoder=decoder, likelihood=likelihood)
    assert len(model.trainable_variables) == 2 + 4 + 3
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(x, epochs=6, batch_size=50, verbose=0)
    assert history.history["objective"][-1] > history.history["objective"][0]
    with pytest.raises(ValueError, match="encoder"):
        models.DVAE(recipe("tiny-2"), x.mean(0), encoder=Encoder())


def test_chains_move_only_in_training():
    model = rough_model()
    x = all_bits(NUM_PIXELS)[:8].astype(np.float32)
    before = np.asarray(model.prior.state().left)
    model.relaxed_bound(x, (0, 1))
    model(x)
    model.log_likelihood(x, 5)
    np.testing.assert_array_equal(before, model.prior.state().left)
    model.compile()
    model.update(tf.constant(x))
    assert int(model.prior.num_updates) == 1
    assert np.any(before != np.asarray(model.prior.state().left))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="mean_x"):
        models.DVAE(recipe(), np.zeros((2, 3)))


@pytest.mark.parametrize("struct", ["1-layer-lin", "4-layer-nonlin", "1-layer-nonlin", "2-layer-small"])
@pytest.mark.slow
def test_every_published_structure_takes_a_step(struct):
    settings = config.recipe("binarized_mnist", struct, "dvaes_power", 2, num_chains=4, num_sweeps=1)
    model = models.DVAE(settings, np.full(784, 0.1))
    model.compile()
    x = (np.random.default_rng(0).random((5, 784)) < 0.1).astype(np.float32)
    assert np.isfinite([float(each) for each in model.update(tf.constant(x))]).all()
    assert model.encode(x, 2, (0, 1)).z.shape == (2, 5, settings.structure.num_units)
