"""What a schedule changes along the run: more samples late, the encoder alone at the end."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, models
from support import tiny

STEPS = 10
X = np.random.default_rng(0).integers(0, 2, (8, tiny.NUM_PIXELS)).astype(np.float32)


@pytest.fixture(autouse=True)
def structures(monkeypatch):
    tiny.add_tiny_structures(monkeypatch)


def _model(**changes):
    model = tiny.rough_model(**{"num_train_iter": STEPS, "baseline": "gumbolt", **changes})
    model.compile()
    return model


def _gradients(model, step):
    """Of the update that the model would take at a step."""
    model.optimizer.iterations.assign(step)
    return [np.asarray(each) for each in model.replica_update(tf.constant(X)).gradients]


def _assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def _differ(found, expected):
    return any(not np.allclose(one, other, rtol=1e-2) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("baseline", ["gumbolt", pytest.param("dvaes_power", marks=pytest.mark.slow)])
def test_late_steps_take_more_samples(baseline):
    model = _model(baseline=baseline, late_start=0.5, late_k=3)
    one, three = _model(baseline=baseline), _model(baseline=baseline, k=3)
    _assert_close(_gradients(model, 4), _gradients(one, 4))
    _assert_close(_gradients(model, 5), _gradients(three, 5))
    assert _differ(_gradients(one, 5), _gradients(three, 5))


def test_encoder_alone_is_trained_at_the_end():
    # Without a warm-up, whose first step does not see the prior.
    model = _model(refit_start=0.5, kl_warmup_fraction=0.0)
    encoder = {each.path for each in model.posterior.trainable_variables}
    values = []
    for _ in range(STEPS):
        values.append({each.path: np.array(each) for each in model.trainable_variables})
        model.update(tf.constant(X))
    values.append({each.path: np.array(each) for each in model.trainable_variables})
    for step in range(STEPS):
        moved = {
            path for path, value in values[step].items() if not np.array_equal(value, values[step + 1][path])
        }
        assert moved == (set(values[0]) if step < 5 else encoder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"late_start": 0.8}, "late_k: expected a number of samples together with late_start"),
        ({"late_k": 5}, "late_k: expected a number of samples together with late_start"),
        ({"late_start": 1.0, "late_k": 5}, "late_start: expected a fraction of the run below 1"),
        ({"refit_start": 1.5}, "refit_start: expected a fraction of the run below 1"),
        ({"schedule": "fast"}, "schedule: expected one of published, best"),
    ],
)
def test_wrong_schedules_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.recipe(**changes)


def test_schedules_are_rows_of_one_table():
    published, best = (tiny.recipe(baseline="gumbolt", schedule=each) for each in ("published", "best"))
    assert published == tiny.recipe(baseline="gumbolt")
    changed = {name for name, value in best.to_json().items() if value != published.to_json()[name]}
    table = config.changes_of("best", published.system, num_groups=published.num_groups)
    assert changed == {"schedule", *config.fields_of(table)}
    assert "temperature" in changed


def test_changes_are_of_the_systems_that_they_are_for():
    best = tiny.recipe(baseline="dvaes_power", schedule="best")
    assert best.centered
    assert best.temperature is None


def test_changes_are_of_the_structures_that_they_are_for():
    one, two = (tiny.recipe(struct, schedule="best") for struct in ("tiny", "tiny-2"))
    assert one.base_lr > two.base_lr > config.Recipe.base_lr
    assert one.lr_steps == two.lr_steps != config.Recipe.lr_steps


def test_given_fields_override_those_of_the_schedule():
    assert not tiny.recipe(schedule="best", centered=False).centered


def test_late_part_has_no_fewer_samples():
    assert tiny.recipe(baseline="gumbolt", k=25, schedule="best").late_k is None
    assert tiny.recipe(baseline="gumbolt", k=25, schedule="best", late_start=0.5, late_k=2).late_k == 2


@pytest.mark.parametrize("baseline", [name for name in config.BASELINES if name != "rebar"])
def test_every_system_has_every_schedule(baseline):
    k = 2 if config.SYSTEMS[baseline].relaxation is None else 1
    assert tiny.recipe(baseline=baseline, k=k, schedule="best").centered


def test_schedule_survives_json():
    recipe = tiny.recipe(baseline="gumbolt", schedule="best")
    assert config.Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.slow
def test_models_train_by_the_best_schedule():
    model = models.DVAE(tiny.recipe(schedule="best", num_train_iter=STEPS), np.full(tiny.NUM_PIXELS, 0.4))
    model.compile()
    for _ in range(STEPS):
        report = model.update(tf.constant(X))
    assert np.isfinite(report.objective)


def test_frozen_prior_stays_as_it_is():
    model = tiny.rough_model(num_train_iter=STEPS, baseline="gumbolt", centered=True)
    model.prior.trainable = False
    model.compile()
    before = [np.array(each) for each in model.prior.rbm]
    model.update(tf.constant(X))
    for found, expected in zip(model.prior.rbm, before, strict=True):
        np.testing.assert_array_equal(found, expected)
