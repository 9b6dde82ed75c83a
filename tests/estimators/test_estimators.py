"""What estimators are beside unbiased: their values, what they take, what they train, statistics once."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import config, models, objectives, priors
from dvae_tf.estimators.rebar import _noisy_given
from support.tiny import NUM_PIXELS, all_bits, recipe, rough_model, struct_of

X = tf.constant(all_bits(NUM_PIXELS)[::7], tf.float32)
BITS = ("rloo", "vimco", "disarm", "rebar")


@pytest.mark.parametrize("baseline", BITS)
def test_value_is_that_of_the_bound(baseline):
    model = rough_model(struct_of(baseline), k=4, baseline=baseline)
    bound, log_likelihood, kl = model.relaxed_bound(X, (0, 1), 0.3)
    of = objectives.importance_weighted_bound if baseline == "vimco" else objectives.elbo
    np.testing.assert_allclose(bound, of(log_likelihood, kl, 0.3), rtol=1e-5)
    # Three evaluations for two pairs: one for each group beside the first members'.
    assert log_likelihood.shape == kl.shape == (6 if baseline == "disarm" else 4, len(X))


def test_doubly_reparameterized_value_is_that_of_the_bound():
    plain = rough_model("tiny-2", k=3, baseline="dvaes_exp")
    model = rough_model("tiny-2", k=3, baseline="dvaes_exp", doubly_reparameterized=True)
    for one, other in zip(
        model.relaxed_bound(X, (0, 1), 0.3), plain.relaxed_bound(X, (0, 1), 0.3), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_pair_has_antithetic_bits():
    """One group: of a fair bit's pair exactly one is 1."""
    model = rough_model("tiny-lin", k=2, baseline="disarm")
    for variable in model.posterior.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    decoded = []
    right = model.pixels
    model.pixels = lambda code, training=False: decoded.append(code) or right(code, training)
    model.relaxed_bound(X, (0, 1))
    np.testing.assert_array_equal(decoded[0][0] + decoded[0][1], 1)


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        ("vimco", {"num_samples": 1}, "k: expected at least 2"),
        ("disarm", {"num_samples": 3}, "k: expected an even number"),
        ("rebar", {"num_samples": 2}, "num_groups: expected 1 for rebar, got 2"),
        ("reinforce", {}, "estimator: expected one of"),
    ],
)
def test_what_does_not_fit_is_refused(estimator, options, message):
    model = rough_model("tiny-2", baseline="gumbolt")
    with pytest.raises(ValueError, match=message):
        model.relaxed_bound(X, (0, 1), estimator=estimator, **options)


def test_estimators_that_need_a_relaxation():
    bits = rough_model("tiny", k=2, baseline="rloo")
    for estimator in ("reparameterized", "doubly_reparameterized"):
        with pytest.raises(ValueError, match="estimator: expected one of bits"):
            bits.relaxed_bound(X, (0, 1), estimator=estimator)
    for model in (bits, rough_model("tiny", baseline="gumbolt")):
        with pytest.raises(ValueError, match="relaxation: expected a ControlVariate for rebar"):
            model.relaxed_bound(X, (0, 1), estimator="rebar")
    with pytest.raises(ValueError, match="relaxation: expected none for rloo, a system of bits"):
        models.DVAE(bits.recipe, np.full(NUM_PIXELS, 0.4), relaxation=rough_model().posterior.relaxations[0])


@pytest.mark.parametrize("baseline", BITS)
def test_steps_with_a_directed_prior_of_ones_own(baseline):
    struct = struct_of(baseline)
    groups = config.STRUCTURES[struct].num_groups
    prior = priors.DirectedPrior(6 // groups, [keras.layers.Dense(3)] * (groups - 1))
    model = models.DVAE(recipe(struct, 2, baseline), np.full(NUM_PIXELS, 0.4), prior=prior)
    model.compile(jit_compile=False)
    model.optimizer.iterations.assign(50)
    assert np.isfinite([float(each) for each in model.update(X)]).all()
    assert np.any(np.asarray(prior.first_logits) != 0)


# --------------------------------------------------------------------------- REBAR's control variate


class LogOdds(keras.layers.Layer):
    """An encoder that ignores the images: log-odds [B, D] of a variable."""

    def __init__(self, values):
        super().__init__()
        self.log_odds = self.add_weight(shape=values.shape, initializer=lambda *_, **__: tf.constant(values))

    def call(self, x, training=False):
        return tf.convert_to_tensor(self.log_odds)


@pytest.fixture
def rebar_model():
    """REBAR whose gradient in the log-odds of image b is g of this image, K being 1."""
    log_odds = np.random.default_rng(1).normal(size=(len(X), 6)).astype(np.float32)
    encoder = LogOdds(log_odds)
    model = models.DVAE(recipe("tiny-lin", 1, "rebar"), np.full(NUM_PIXELS, 0.4), encoder=encoder)
    rng = np.random.default_rng(2)
    for variable in (*model.decoder.trainable_variables, *model.prior.trainable_variables):
        variable.assign(rng.normal(size=variable.shape))
    return model


def gradients(model, variables, seed, kl_weight=0.7):
    with tf.GradientTape() as tape:
        objective = tf.reduce_mean(model.relaxed_bound(X, (3, seed), kl_weight).bound)
    return [np.asarray(each, np.float64) for each in tape.gradient(objective, variables)]


def squares(model, seed):
    """The sum over units of g^2, averaged over images."""
    (found,) = gradients(model, [model.posterior.encoders[0].log_odds.value], seed)
    return ((found * len(X)) ** 2).sum(1).mean()


def test_control_variate_descends_on_the_variance(rebar_model):
    """Against central differences of the squares of g itself, whose sign the maximized bound turns."""
    control = rebar_model.posterior.relaxations[0]
    for variable, start in ((control.log_excess, np.log(0.5)), (control.log_scale, -0.2)):
        variable.assign(start)
    for variable in (control.log_excess, control.log_scale):
        for seed in range(3):
            (slope,) = gradients(rebar_model, [variable.value], seed)
            middle, ends = float(variable), []
            for move in (1e-2, -1e-2):
                variable.assign(middle + move)
                ends.append(squares(rebar_model, seed))
            variable.assign(middle)
            expected = -(ends[0] - ends[1]) / 2e-2
            assert slope == pytest.approx(expected, rel=0.02, abs=0.02)


def test_control_variate_has_no_part_in_other_gradients(rebar_model):
    """The decoder and the prior see the bits alone, whatever the temperature and the scale."""
    control = rebar_model.posterior.relaxations[0]
    others = [
        variable.value
        for layer in (rebar_model.decoder, rebar_model.prior)
        for variable in layer.trainable_variables
    ]
    before = gradients(rebar_model, others, 1)
    control.log_excess.assign(1.0)
    control.log_scale.assign(-2.0)
    for one, other in zip(before, gradients(rebar_model, others, 1), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.slow
def test_a_trained_control_variate_has_less_variance(rebar_model):
    """From a scale and a temperature that are too large, and compared with none at all."""
    control = rebar_model.posterior.relaxations[0]
    weights = [control.log_excess, control.log_scale]
    log_odds = rebar_model.posterior.encoders[0].log_odds

    @tf.function
    def gradients_at(seed):
        with tf.GradientTape() as tape:
            objective = tf.reduce_mean(rebar_model.relaxed_bound(X, seed, 0.7).bound)
        return tape.gradient(objective, [each.value for each in (*weights, log_odds)])

    def variance():
        drawn = [gradients_at(tf.constant([5, seed]))[-1] for seed in range(300)]
        return len(X) ** 2 * np.var(drawn, axis=0, ddof=1).sum(1).mean()

    for weight, start in zip(weights, (1.5, 1.0), strict=True):
        weight.assign(start)
    before = variance()
    for step in range(300):
        for weight, slope in zip(weights, gradients_at(tf.constant([6, step])), strict=False):
            weight.assign_add(0.02 * np.sign(slope))
    after = variance()
    control.log_scale.assign(-30.0)
    without = variance()
    assert after < 0.7 * before
    assert after < 0.7 * without


def test_noise_given_a_bit_has_the_law_of_noise():
    """Given b, and with b drawn, l + logit u~ is logistic around l: quantiles of the whole, signs by b."""
    rng = np.random.default_rng(4)
    for logit in (-30.0, -2.0, 0.0, 1.5, 30.0):
        b = (rng.random(40_000) < special.expit(logit)).astype(np.float32)
        v = np.maximum(rng.random(40_000), 2.0**-25).astype(np.float32)
        noisy = np.asarray(_noisy_given(tf.constant(b), tf.fill(b.shape, np.float32(logit)), tf.constant(v)))
        assert np.isfinite(noisy).all()
        np.testing.assert_array_equal(noisy > 0, b > 0)
        level = special.expit(noisy.astype(np.float64) - logit)
        # Kolmogorov's distance exceeds 1.95 / sqrt(n) once in a thousand.
        distance = np.abs(np.sort(level) - (np.arange(len(b)) + 0.5) / len(b)).max()
        assert distance < 1.95 / np.sqrt(len(b))


# --------------------------------------------------------------------------- batch norms


def statistics_after_a_step(model):
    model.relaxed_bound(X, (0, 1), training=True)
    return {
        variable.path.split("/", 1)[1]: np.array(variable)
        for variable in model.non_trainable_variables
        if "moving" in variable.path
    }


def test_doubly_reparameterized_statistics_are_updated_once():
    changes = {"k": 2, "baseline": "dvaes_exp"}
    once = statistics_after_a_step(rough_model("tiny-2", **changes))
    twice = statistics_after_a_step(rough_model("tiny-2", doubly_reparameterized=True, **changes))
    assert once.keys() == twice.keys()
    assert len(once) > 3
    for name, values in once.items():
        np.testing.assert_allclose(twice[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_relaxed_codes_of_rebar_do_not_enter_the_statistics():
    model = rough_model("tiny", k=2, baseline="rebar")
    decoded, right = [], model.pixels
    model.pixels = lambda code, training=False: decoded.append(code) or right(code, training)
    start = np.array(model.decoder.norms[0].moving_mean)
    model.relaxed_bound(X, (0, 1), training=True)
    assert len(decoded) == 2
    bits = tf.reshape(decoded[0], [-1, 6])
    assert set(np.unique(bits)) == {0, 1}
    momentum = model.recipe.batch_norm_momentum
    now = np.asarray(tf.reduce_mean(model.decoder.first[0](bits), 0))
    np.testing.assert_allclose(
        model.decoder.norms[0].moving_mean, momentum * start + (1 - momentum) * now, rtol=1e-4, atol=1e-5
    )
