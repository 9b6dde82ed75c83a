import dataclasses

import pytest

from dvae_tf import config


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"dataset": "mnist"}, ["dataset", "binarized_mnist", "digits"]),
        ({"struct": "3-layer"}, ["struct", "2-layer-nonlin", "1-layer-lin"]),
        ({"baseline": "vae"}, ["baseline", "dvaes_power"]),
        ({"sampler": "hmc"}, ["sampler", "pcd"]),
        ({"beta": 0.0}, ["beta", "above 0"]),
        ({"beta": float("nan")}, ["beta"]),
        ({"k": 0}, ["k:", "above 0"]),
        ({"k": 1.5}, ["k:", "int"]),
        ({"num_train_iter": 0}, ["num_train_iter"]),
        ({"train_batchsize": 1298}, ["train_batchsize", "1297"]),
        ({"num_chains": -1}, ["num_chains"]),
        ({"seed": -1}, ["seed"]),
        ({"lr_steps": ((0.1, 1.0),)}, ["lr_steps"]),
    ],
)
def test_bad_values_are_named_with_what_was_expected(changes, names):
    cell = {"dataset": "digits", "struct": "1-layer-small", "baseline": "dvaes_power", "k": 1}
    with pytest.raises(ValueError) as error:
        config.recipe(**{**cell, **changes})
    for name in names:
        assert name in str(error.value)


def test_published_cells_and_sharpness():
    """Spot checks against the paper's table as printed."""
    cell = config.recipe("binarized_mnist", "2-layer-nonlin", "dvaes_power", 1)
    assert cell.published == (83.37, 0.02)
    assert cell.beta == 30
    assert dataclasses.replace(cell, k=25).published == (82.85, 0.03)
    assert dataclasses.replace(cell, k=2).published is None
    assert config.recipe("binarized_mnist", "1-layer-lin", "dvaes_power", 5).published == (88.25, 0.03)
    assert config.recipe("binarized_mnist", "1-layer-lin", "dvaes_power", 5).beta == 40
    assert config.recipe("binarized_mnist", "1-layer-lin", "dvaes_power", 5, beta=15.0).beta == 15
    assert cell.structure.num_units == 400


def test_json_round_trip_is_exact_and_strict():
    recipe = config.recipe("digits", "2-layer-small", "dvaes_power", 5, seed=3)
    values = recipe.to_json()
    assert config.Recipe.from_json(values) == recipe
    with pytest.raises(ValueError, match="unknown fields"):
        config.Recipe.from_json({**values, "colour": 1})
    del values["seed"]
    with pytest.raises(ValueError, match="seed"):
        config.Recipe.from_json(values)
