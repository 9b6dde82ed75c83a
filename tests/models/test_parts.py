"""Parts of one's own: given to the model as objects, and registered by name for recipes."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dvae_tf import config, estimators, models, priors, samplers, smoothing
from dvae_tf.models import systems
from support.tiny import NUM_PIXELS, recipe

MEAN = np.full(NUM_PIXELS, 0.4)
X = np.random.default_rng(0).integers(0, 2, (20, NUM_PIXELS)).astype(np.float32)


@keras.saving.register_keras_serializable("test_parts")
class Soft(smoothing.Power):
    """A smoothing of one's own."""


@dataclasses.dataclass(frozen=True)
class Twice(samplers.PersistentGibbs):
    """A sampler of one's own: as many sweeps again."""

    def step(self, left_bias, right_bias, weights, state, seed, temperature=1.0):
        for _ in range(2):
            state, info = super().step(left_bias, right_bias, weights, state, seed, temperature)
        return state, info


@keras.saving.register_keras_serializable("test_parts")
class Normal(models.Likelihood):
    """A likelihood of one's own."""

    pixels = "levels"

    def __call__(self, outputs):
        return tfd.Independent(tfd.Normal(outputs, 1.0), 1)

    def initial_outputs(self, mean_x):
        return mean_x


TABLES = (
    config.SYSTEMS,
    config.SAMPLERS,
    config.LIKELIHOODS,
    systems.RELAXATIONS,
    systems.PRIORS,
    systems.SAMPLERS,
    systems.LIKELIHOODS,
    config.ESTIMATORS,
    systems.ESTIMATORS,
)


@pytest.fixture
def registered():
    """The parts under names of their own; the tables are as before afterwards."""
    before = [dict(table) for table in TABLES]
    models.register_relaxation("soft", lambda recipe: [Soft(recipe.beta)] * recipe.structure.num_groups)
    models.register_prior(
        "plain", lambda parts: priors.BoltzmannPrior(3, 3, smoothing=parts.relaxation, name="prior")
    )
    models.register_sampler("twice", Twice)
    models.register_likelihood("normal_levels", Normal())
    config.register_system("mine", config.System("soft", "plain", "sampled", "importance_weighted", 7.0))
    config.register_system(
        "softest", config.System("soft", "overlapping", "sampled", "importance_weighted", 3.0)
    )
    models.register_estimator("own", estimators.vimco, config.EstimatorFacts(smallest_k=3))
    config.register_system(
        "own_bits", config.System(None, "boltzmann", "sampled", "importance_weighted", estimator="own")
    )
    yield
    for table, entries in zip(TABLES, before, strict=True):
        table.clear()
        table.update(entries)


def trains(model, x=X):
    model.compile(jit_compile=False)
    history = model.fit(x, batch_size=10, epochs=2, verbose=0).history
    assert np.isfinite(history["objective"]).all()
    return model


def test_registered_parts_are_taken_by_recipes(registered):
    model = trains(models.DVAE(recipe(baseline="mine"), MEAN))
    assert isinstance(model.posterior.relaxations[0], Soft)
    assert float(model.posterior.relaxations[0].beta) == 7
    assert model.prior.sampler == samplers.PersistentGibbs()
    model = trains(
        models.DVAE(recipe(baseline="softest", sampler="twice", likelihood="normal_levels"), MEAN), 0.3 * X
    )
    assert isinstance(model.prior.sampler, Twice)
    assert model.prior.sampler.num_chains == 20
    assert isinstance(model.likelihood, Normal)
    assert model.pixel_values == "levels"
    again = config.Recipe.from_json(model.recipe.to_json())
    assert again == model.recipe


def test_a_registered_estimator_says_what_it_takes(registered):
    trains(models.DVAE(recipe(baseline="own_bits", k=3), MEAN))
    with pytest.raises(ValueError, match="k: expected at least 3 samples for own, got 2"):
        recipe(baseline="own_bits", k=2)


def test_parts_are_given_as_objects():
    own = {
        "relaxation": Soft(5.0),
        "prior": priors.BoltzmannPrior(3, 3, smoothing=Soft(5.0), sampler=samplers.PersistentGibbs(20, 3)),
        "likelihood": Normal(),
    }
    model = trains(models.DVAE(recipe(), MEAN, **own), 0.3 * X)
    assert model.prior is own["prior"]
    assert model.own_parts == set(own)
    model = models.DVAE(recipe(), MEAN, sampler=Twice(20, 3))
    assert isinstance(model.prior.sampler, Twice)
    two = models.DVAE(recipe("tiny-2"), MEAN, relaxation=[Soft(5.0), Soft(9.0)])
    assert [float(each.beta) for each in two.posterior.relaxations] == [5, 9]


def test_own_parts_survive_a_keras_file(tmp_path):
    model = trains(models.DVAE(recipe(), MEAN, relaxation=Soft(5.0), likelihood=Normal(), image_shape=(2, 3)))
    model.save(tmp_path / "own.keras")
    found = keras.saving.load_model(tmp_path / "own.keras")
    assert found.image_shape == (2, 3)
    assert isinstance(found.likelihood, Normal)
    np.testing.assert_array_equal(found.log_likelihood(X, 3), model.log_likelihood(X, 3))


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("relaxation", "power", "relaxation: expected one relaxation"),
        ("relaxation", [smoothing.Power(3.0)], "relaxation: expected one relaxation .* 2 group"),
        (
            "sampler",
            samplers.PersistentGibbs(7, 3),
            r"sampler: expected one with the 20 chains of the recipe",
        ),
        ("sampler", "pcd", "sampler: expected one with the 20 chains"),
        ("prior", "boltzmann", "prior: expected a layer"),
        ("prior", priors.BoltzmannPrior(2, 2), "prior: expected .* 6 units, got 4"),
        ("likelihood", "bernoulli", "likelihood: expected a function"),
        ("image_shape", (2, 4), "image_shape: expected 6 pixels"),
        ("image_shape", (2, 3, 3), "image_shape: expected 6 pixels"),
        ("image_shape", (6,), "image_shape: expected two positive integers"),
    ],
)
def test_what_is_no_such_part_is_refused(part, value, message):
    with pytest.raises(ValueError, match=message):
        models.DVAE(recipe("tiny-2"), MEAN, **{part: value})


@pytest.mark.parametrize(
    ("baseline", "prior"), [("concrete", None), ("dvaes_power", priors.BoltzmannPrior(3, 3))]
)
def test_a_sampler_that_would_not_be_used_is_refused(baseline, prior):
    with pytest.raises(ValueError, match="sampler: expected none for a prior that does not use it"):
        models.DVAE(recipe("tiny-2", baseline=baseline), MEAN, sampler=Twice(20, 3), prior=prior)


def test_names_that_nobody_registered():
    for field, value in {"sampler": "mine", "baseline": "mine", "likelihood": "mine"}.items():
        with pytest.raises(ValueError, match=f"{field}: expected one of .* got 'mine'.*registered first"):
            recipe(**{field: value})


def test_a_system_of_unknown_parts_is_refused(registered):
    config.register_system("odd", config.System("no such", "overlapping", "sampled", "elbo", 3.0))
    with pytest.raises(ValueError, match="relaxation: expected one of .*register_relaxation"):
        models.DVAE(recipe(baseline="odd"), MEAN)


@pytest.mark.parametrize(
    "register",
    [
        lambda: models.register_relaxation("power", lambda recipe: []),
        lambda: models.register_prior("overlapping", lambda parts: None),
        lambda: models.register_sampler("pcd", Twice),
        lambda: models.register_likelihood("bernoulli", Normal()),
        lambda: models.register_estimator("rloo", estimators.vimco),
        lambda: config.register_system("gumbolt", config.SYSTEMS["concrete"]),
    ],
)
def test_the_librarys_names_are_taken(register):
    with pytest.raises(ValueError, match="name: expected a name that no"):
        register()


def test_a_warm_up_is_past_for_loaded_models(tmp_path):
    assert float(models.DVAE(recipe(), MEAN).kl_weight(tf.constant(3))) == pytest.approx(0.1)
    assert float(models.DVAE(recipe(), MEAN, kl_warmup=False).kl_weight(tf.constant(3))) == 1
    assert float(models.load("digits").kl_weight(tf.constant(3))) == 1
