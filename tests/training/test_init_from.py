"""Training that starts from the weights of another run."""

import dataclasses

import numpy as np
import pytest

from dvae_tf import models, runs, training
from dvae_tf.models.variable_names import named_variables
from support import killed_run
from support.tiny import recipe, rough_model
from support.training import tiny_images

SMALL = dict(killed_run.SMALL)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        from support.tiny import add_tiny_structures

        add_tiny_structures(patch)
        folder = tmp_path_factory.mktemp("first")
        training.train(recipe(**SMALL), tiny_images(100), folder, verbose=False)
        return folder


def test_weights_and_chains_are_taken_over(first):
    source = {name: np.asarray(each) for name, each in named_variables(models.load(first)).items()}
    model = models.DVAE(recipe(**SMALL, init_from=str(first)), np.full(6, 0.5))
    models.start_from(model, first)
    for name, variable in named_variables(model).items():
        np.testing.assert_array_equal(variable, source[name], err_msg=name)
    # The recipe's warm-up is past, at the first step already.
    assert float(model.kl_weight(0)) == 1
    assert float(models.DVAE(recipe(**SMALL), np.full(6, 0.5)).kl_weight(0)) == 0


@pytest.mark.parametrize("num_chains", [4, 50])
def test_another_number_of_chains_repeats_or_drops_them(first, num_chains):
    theirs = np.asarray(models.load(first).prior.state().left)
    model = models.DVAE(recipe(**SMALL | {"num_chains": num_chains}), np.full(6, 0.5))
    models.start_from(model, first)
    mine = np.asarray(model.prior.state().left)
    np.testing.assert_array_equal(mine, theirs[np.arange(num_chains) % len(theirs)])


@pytest.mark.parametrize("sampler", ["pt", "pa"])
def test_another_sampler_starts_from_its_own_first_states(first, sampler):
    source = {name: np.asarray(each) for name, each in named_variables(models.load(first)).items()}
    settings = recipe(**SMALL | {"sampler": sampler, "num_tracking_chains": 0})
    model = models.DVAE(settings, np.full(6, 0.5))
    before = {name: np.array(each) for name, each in named_variables(model).items()}
    models.start_from(model, first)
    for name, variable in named_variables(model).items():
        wanted = before if name.startswith("prior/sampler_") else source
        np.testing.assert_array_equal(variable, wanted[name], err_msg=name)
    assert any(name.startswith("prior/sampler_") for name in before)


@pytest.mark.slow
def test_a_longer_schedule_is_a_new_run_that_says_where_it_began(first, tmp_path):
    images = tiny_images(100)
    longer = dataclasses.replace(recipe(**SMALL), num_train_iter=2 * SMALL["num_train_iter"])
    with pytest.raises(ValueError, match="another configuration.*init_from"):
        training.train(longer, images, first, verbose=False)
    result = training.train(longer, images, tmp_path / "on", init_from=first, verbose=False)
    assert runs.read_recipe(tmp_path / "on").init_from == str(first)
    assert result.num_train_iter == longer.num_train_iter
    # Started again, it is the same run: the source is read no more.
    again = training.train(longer, images, tmp_path / "on", init_from=first, verbose=False)
    assert again == result


@pytest.mark.parametrize(
    ("source", "changes", "error", "message"),
    [
        ("nowhere", {}, FileNotFoundError, "init_from: expected a run folder, or one of"),
        (
            None,
            {"struct": "tiny-2"},
            ValueError,
            "init_from: expected the weights of a model of the same parts",
        ),
    ],
)
def test_what_cannot_be_started_from_is_refused_before_anything_is_written(
    first, source, changes, error, message, tmp_path
):
    settings, source = recipe(**SMALL | changes), source or first
    with pytest.raises(error, match=message):
        training.train(settings, tiny_images(100), tmp_path / "new", init_from=source, verbose=False)
    assert not (tmp_path / "new").exists()


def test_a_refused_start_changes_nothing(first):
    model = rough_model("tiny-2")
    before = [np.array(each) for each in model.variables]
    with pytest.raises(ValueError, match="init_from"):
        models.start_from(model, first)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.variables, strict=True))


@pytest.mark.slow
def test_the_pieces_of_a_run_name_its_own_parts(tmp_path):
    """A run with the user's own networks says how to load it."""
    import keras

    parts = {"encoder": keras.layers.Dense(6), "decoder": keras.layers.Dense(6)}
    training.train(recipe(**SMALL), tiny_images(100), tmp_path, verbose=False, **parts)
    with pytest.raises(
        ValueError, match=r"your own decoder and encoder; load it with .*decoder=…, encoder=…"
    ):
        models.load(tmp_path)
    loaded = models.load(tmp_path, encoder=keras.layers.Dense(6), decoder=keras.layers.Dense(6))
    assert loaded.image_shape == tiny_images(100).image_shape
