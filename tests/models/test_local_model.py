"""Models with local variables: bounds and gradients against exact ones, every system, parts of one's own."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, estimators, local, models
from runners import exact_model as exact
from support import gradient_checks, local_reference, smoothing_reference
from support.gradient_checks import LARGEST, X, centered, largest_z_score, mean_gradients
from support.tiny import NUM_PIXELS, all_bits, prior_log_probs, recipe, rough_model

IMAGES = all_bits(NUM_PIXELS)[::5].astype(np.float32)


def likelihoods(model, k, num_draws):
    """Mean bound of the images in each draw."""
    log_z = -prior_log_probs(model)[0]  # E(0) = 0, so log p(0) = -log Z
    return np.array([np.mean(model.log_likelihood(IMAGES, k, (k, seed), log_z)) for seed in range(num_draws)])


@pytest.mark.slow
def test_importance_weighted_bound_rises_to_the_exact_likelihood():
    model = rough_model("tiny-local")
    found = local_reference.log_likelihood(model, IMAGES).mean()
    draws = [likelihoods(model, k, 40 if k < 1000 else 4) for k in (1, 10, 5000)]
    means = [each.mean() for each in draws]
    errors = [each.std(ddof=1) / np.sqrt(len(each)) for each in draws]
    assert means[0] < means[1] - 4 * np.hypot(*errors[:2]) < means[2]
    assert all(mean <= found + 4 * error + 1e-3 for mean, error in zip(means, errors, strict=True))
    assert means[2] == pytest.approx(found, abs=4 * errors[2] + 0.01)


@pytest.mark.slow
def test_locals_left_out_of_the_weights_are_noticed(monkeypatch):
    monkeypatch.setattr(local, "log_ratio", lambda shift, ratio, noise: tf.zeros_like(shift[..., 0]))
    model = rough_model("tiny-local")
    found = local_reference.log_likelihood(model, IMAGES).mean()
    assert abs(likelihoods(model, 5000, 2).mean() - found) > 0.05


# --------------------------------------------------------------------------- gradients


@pytest.fixture
def structures(monkeypatch):
    gradient_checks.add_structures(monkeypatch)


def legendre(num_nodes):
    return exact.reference_nodes(0.0, 1.0, num_nodes)


EXPONENTIAL = smoothing_reference.ExponentialSmoothing(4.0)
# baseline -> (changes, unit of the posterior, KL term of the bits, nodes of y): with more nodes no gradient
# changes by more than a standard error of the means over draws.
OBJECTIVES = {
    "dvaepp_exp": (
        {"beta": 4.0},
        lambda: (exact.smoothed(EXPONENTIAL, legendre(10)), exact.boltzmann_bits),
        20,
    ),
    "gumbolt": ({"temperature": 0.5}, lambda: (exact.concrete(0.5, 80), exact.gumbolt), 20),
    "dvaes_exp": (
        {"beta": 4.0},
        lambda: (exact.smoothed(EXPONENTIAL, legendre(7)), exact.overlapping(EXPONENTIAL, exact=False)),
        20,
    ),
} | {
    name: ({}, lambda: (exact.bits(), exact.boltzmann_bits), 40)
    for name in ("rloo", "vimco", "disarm", "rebar")
}
AVERAGED = ("dvaepp_exp", "rloo", "disarm", "rebar")


@functools.cache
def exact_gradient(baseline, num_groups, num_local, k, kl_weight, local_kl_weight):
    """Finite differences of the exactly integrated bound."""
    settings, of, num_nodes = OBJECTIVES[baseline]
    parameters = gradient_checks.build(baseline, 2, num_groups, k, num_local=num_local, **settings).parameters
    unit, kl = of()
    samples = 1 if baseline in AVERAGED else k

    def objective(moved):
        weights = kl_weight, local_kl_weight
        return local_reference.bound(centered(moved), X, unit, kl, num_groups, samples, *weights, num_nodes)

    return exact.gradient(objective, parameters)


def z_score(baseline, num_groups, num_local, k, kl_weight, local_kl_weight=0.7, calls=60, **changes):
    weights = {"kl_weight": kl_weight, "local_kl_weight": local_kl_weight}
    expected = exact_gradient(baseline, num_groups, num_local, k, **weights)
    assert any("local_prior" in name for name in expected)
    model, _, named = gradient_checks.build(
        baseline, 2, num_groups, k, num_local=num_local, **OBJECTIVES[baseline][0], **changes
    )
    return largest_z_score(mean_gradients(model, named, calls, **weights), expected)


@pytest.mark.parametrize(
    ("baseline", "num_groups", "num_local", "k", "kl_weight", "changes"),
    [
        pytest.param("dvaepp_exp", 2, 2, 1, 0.4, {}, marks=pytest.mark.slow),
        pytest.param("gumbolt", 1, 1, 1, 0.4, {}, marks=pytest.mark.slow),
        pytest.param("dvaes_exp", 1, 1, 2, 0.4, {}, marks=pytest.mark.soak),
        pytest.param("dvaes_exp", 1, 1, 2, 0.4, {"doubly_reparameterized": True}, marks=pytest.mark.slow),
        pytest.param("rloo", 2, 2, 2, 0.4, {}, marks=pytest.mark.slow),
        pytest.param("disarm", 1, 2, 4, 1.0, {}, marks=pytest.mark.soak),
        pytest.param("disarm", 2, 2, 2, 0.4, {}, marks=pytest.mark.soak),
        pytest.param("rebar", 1, 1, 2, 0.4, {}, marks=pytest.mark.slow),
        pytest.param("vimco", 1, 1, 2, 0.4, {}, marks=pytest.mark.slow),
    ],
)
def test_gradient_is_that_of_the_exact_bound(
    baseline, num_groups, num_local, k, kl_weight, changes, structures
):
    assert z_score(baseline, num_groups, num_local, k, kl_weight, **changes) < LARGEST


def twice_the_kl(patch):
    right = local.gaussian_kl
    patch.setattr(local, "gaussian_kl", lambda shift, ratio: 2 * right(shift, ratio))


def a_variance_for_a_scale(patch):
    right = local.gaussian_kl
    patch.setattr(local, "gaussian_kl", lambda shift, ratio: right(shift, tf.sqrt(ratio)))


def no_weights_of_locals(patch):
    patch.setattr(local, "log_ratio", lambda shift, ratio, noise: tf.zeros_like(shift[..., 0]))


def noise_of_the_bits(patch):
    """Both members of a pair from noise that depends on what is drawn: the sign of the first bit."""
    right = models.DVAE._draw_local

    def draw(model, variables, seen, code, *args, **kwargs):
        drawn = right(model, variables, seen, code, *args, **kwargs)
        return drawn._replace(y=drawn.y + 0.3 * tf.stop_gradient(code[..., :1]))

    patch.setattr(models.DVAE, "_draw_local", draw)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("baseline", "k", "break_it"),
    [
        ("rloo", 2, twice_the_kl),
        ("rloo", 2, a_variance_for_a_scale),
        ("vimco", 2, no_weights_of_locals),
        ("disarm", 2, noise_of_the_bits),
    ],
)
def test_defects_are_caught(baseline, k, break_it, structures, monkeypatch):
    break_it(monkeypatch)
    assert z_score(baseline, 1, 1, k, 0.4, calls=30) > 2 * LARGEST


# --------------------------------------------------------------------------- every system


@pytest.mark.parametrize(
    "baseline",
    [pytest.param(name, marks=[] if name == "gumbolt" else pytest.mark.slow) for name in config.BASELINES],
)
def test_a_step_moves_every_trainable_variable(baseline):
    one_group = config.ESTIMATORS[config.SYSTEMS[baseline].estimator].one_group
    model = rough_model("tiny-local" if one_group else "tiny-local-2", k=2, baseline=baseline)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    before = {variable.path: np.array(variable) for variable in model.trainable_variables}
    model.optimizer.iterations.assign(50)  # past the start of the warm-up, where no prior learns
    report = model.update(tf.constant(IMAGES))
    assert np.isfinite([float(each) for each in report]).all()
    assert [v.path for v in model.trainable_variables if np.array_equal(before[v.path], v)] == []
    assert np.isfinite(model.log_likelihood(IMAGES, 7)).all()


def test_weights_of_the_kl_terms():
    model = rough_model("tiny-local-2")

    def bound(kl_weight, local_kl_weight):
        return model.relaxed_bound(IMAGES, (0, 1), kl_weight, local_kl_weight=local_kl_weight)

    at = [bound(0.6, weight) for weight in (0.0, 0.25, 1.0)]
    assert np.abs(at[2].log_likelihood - at[0].log_likelihood).max() > 0.01
    np.testing.assert_allclose(
        at[1].log_likelihood,
        0.75 * at[0].log_likelihood + 0.25 * at[2].log_likelihood,
        atol=1e-4,
    )
    np.testing.assert_allclose(bound(0.0, 1.0).bound, at[2].log_likelihood[0], atol=1e-4)


def test_warm_up_of_the_local_kl_takes_half_as_long():
    model = rough_model("tiny-local", num_train_iter=1000)
    weights = [(model.kl_weight(step), model.local_kl_weight(step)) for step in (0, 60, 150, 240, 500)]
    np.testing.assert_allclose(weights, [(0, 0), (0.2, 0.4), (0.5, 1), (0.8, 1), (1, 1)], rtol=1e-6)


def test_a_step_weighs_the_local_kl_by_its_warm_up():
    """The log-likelihoods of a first step are linear in the weight: 0.4, next to none, and 1."""
    found = []
    for fraction in (0.15, 1e6, 0.0):
        model = rough_model("tiny-local", num_train_iter=1000, local_kl_warmup_fraction=fraction)
        model.compile()
        model.optimizer.iterations.assign(60)
        found.append(float(model.update(tf.constant(IMAGES)).log_likelihood))
    assert found[1] - found[2] > 0.01
    assert found[0] == pytest.approx(0.6 * found[1] + 0.4 * found[2], abs=1e-4)


def test_public_shapes():
    model = rough_model("tiny-local-2")
    assert model.num_local == 4
    code = model.encode(IMAGES, 3, (0, 1))
    assert isinstance(code, models.LocalCode)
    assert code.local.shape == code.local_shift.shape == (3, len(IMAGES), 4)
    assert code.local_kl.shape == (2, 3, len(IMAGES))
    assert model.decode(code.z, code.local).shape == (3, len(IMAGES), NUM_PIXELS)
    assert model.decode(code.z).shape == (3, len(IMAGES), NUM_PIXELS)
    drawn = model.sample(7, (0, 1), num_sweeps=3)
    assert (drawn.images.shape, drawn.local.shape) == ((7, NUM_PIXELS), (7, 4))
    np.testing.assert_allclose(drawn.images, model.decode(drawn.z, drawn.local), atol=1e-6)
    noise = np.zeros((7, 4), np.float32)
    np.testing.assert_allclose(
        model.decode(drawn.z, model.draw_local(drawn.z, noise=noise)), model.decode(drawn.z), atol=1e-6
    )
    assert model(IMAGES).shape == IMAGES.shape


def test_bits_alone_have_no_locals():
    model = rough_model("tiny-2")
    with pytest.raises(ValueError, match="local: expected none for tiny-2"):
        model.decode(np.zeros((2, 6), np.float32), np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="z: expected a model with local variables, got tiny-2"):
        model.draw_local(np.zeros((2, 6), np.float32))


def test_late_samples_refit_and_centering():
    """The parts of a schedule, of which refitting trains the encoders of both kinds and no prior."""
    changes = {
        "late_start": 0.3,
        "late_k": 2,
        "refit_start": 0.6,
        "centered": True,
        "kl_warmup_fraction": 0.0,
    }
    model = rough_model("tiny-local", baseline="gumbolt", num_train_iter=10, **changes)
    model.compile()
    for _ in range(6):
        model.update(tf.constant(IMAGES))
    before = {v.path: np.array(v) for v in model.trainable_variables}
    model.update(tf.constant(IMAGES))
    moved = {v.path for v in model.trainable_variables if not np.array_equal(before[v.path], v)}
    assert any("local_encoder" in path for path in moved)
    assert any("posterior" in path for path in moved)
    assert not any("local_prior" in path or "decoder" in path for path in moved)


# --------------------------------------------------------------------------- parts of one's own


@keras.saving.register_keras_serializable("test_local_model")
class Own(keras.layers.Layer):
    """A network of one's own, of one input or of two."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units, self.dense = units, keras.layers.Dense(units)

    def call(self, x, before=None, training=False):
        del training
        if before is None:
            return self.dense(x)
        x = tf.broadcast_to(x, tf.concat([tf.shape(before)[:-1], tf.shape(x)[-1:]], 0))
        return self.dense(tf.concat([x, before], -1))

    def get_config(self):
        return super().get_config() | {"units": self.units}


@pytest.mark.slow
def test_parts_of_ones_own(tmp_path):
    own = {
        "encoder": Own(6),
        "decoder": keras.layers.Dense(NUM_PIXELS),
        "local_encoder": Own(2),
        "local_prior": Own(2),
    }
    model = models.DVAE(recipe("tiny-local"), IMAGES.mean(0), **own)
    assert model.own_parts == set(own)
    model.compile()
    model.fit(IMAGES, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    found = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(found.log_likelihood(IMAGES, 3), model.log_likelihood(IMAGES, 3))
    models.save_weights(model, tmp_path / "weights.npz")
    again = models.DVAE(
        recipe("tiny-local"),
        IMAGES.mean(0),
        encoder=Own(6),
        decoder=keras.layers.Dense(NUM_PIXELS),
        local_encoder=Own(2),
        local_prior=Own(2),
    )
    models.load_weights(again, tmp_path / "weights.npz")
    np.testing.assert_array_equal(again.log_likelihood(IMAGES, 3), model.log_likelihood(IMAGES, 3))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"encoder": Own(6)}, "local_encoder: expected your own exactly if"),
        ({"local_encoder": Own(2)}, "local_encoder: expected your own exactly if"),
        ({"local_prior": [Own(2), Own(2)]}, r"local_prior: expected one layer for each of the 1 local group"),
    ],
)
def test_parts_that_do_not_fit(parts, message):
    with pytest.raises(ValueError, match=message):
        models.DVAE(recipe("tiny-local"), IMAGES.mean(0), **parts)


def test_an_own_estimator_sees_the_likelihood_of_locals():
    """What a bound is made of says which layers it reads."""
    seen = []

    def estimate(parts):
        seen.append(parts)
        return estimators.vimco(parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(config.ESTIMATORS, "own", config.EstimatorFacts(smallest_k=2))
        patch.setitem(models.systems.ESTIMATORS, "own", estimate)
        model = rough_model("tiny-local", k=2, baseline="vimco")
        expected = model.relaxed_bound(IMAGES, (0, 1)).bound
        found = model.relaxed_bound(IMAGES, (0, 1), estimator="own").bound
    np.testing.assert_allclose(found, expected)
    assert seen[0].conditional == (model.decoder, model.local)
