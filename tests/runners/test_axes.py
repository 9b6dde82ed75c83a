"""Axes of a table: values have the types of their fields, and what is not one is refused by name."""

import pytest

from dvae_tf import config
from runners import axes
from runners.cells import own_folder


def test_values_have_the_types_of_their_fields():
    given = (
        "seed=0,1,10",
        "beta=5,none,1e1",
        "couplings=true,False",
        "baseline=gumbolt,dvaes_power",
        "hidden=[64,64],[]",
        "lr_steps=[[0,1],[0.5,0.1]]",
        "patience=none",
        "init_from=runs/a,none",
    )
    assert axes.parse(given) == {
        "seed": [0, 1, 10],
        "beta": [5.0, None, 10.0],
        "couplings": [True, False],
        "baseline": ["gumbolt", "dvaes_power"],
        "hidden": [(64, 64), ()],
        "lr_steps": [((0, 1), (0.5, 0.1))],
        "patience": [None],
        "init_from": ["runs/a", None],
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("beta", "expected field=value"),
        ("bta=5", "expected one of the fields dataset, .*got 'bta'"),
        ("seed=0,x", "seed: expected integers, got '0,x'"),
        ("seed=0.5", "seed: expected integers"),
        ("seed=none", "seed: expected integers"),
        ("beta=", "beta: expected numbers"),
        ("beta=5,5.0", "beta: expected different values, got 5.0 twice"),
        ("couplings=maybe", "couplings: expected true or false"),
        ("hidden=64,32", "hidden: expected lists in brackets"),
        ("hidden=[64", "hidden: expected lists in brackets"),
        ("hidden=", "hidden: expected values, got none"),
        ("struct=", "struct: expected texts"),
    ],
)
def test_bad_axes_are_refused_by_name(given, message):
    with pytest.raises(ValueError, match=f"axis: {message}"):
        axes.parse([given])


def test_a_field_is_given_once():
    with pytest.raises(ValueError, match="axis: expected every field once, got seed twice"):
        axes.parse(["seed=1", "seed=2"])


def test_combinations_change_the_last_axis_fastest():
    found = axes.combinations({"k": [1, 5], "seed": [0, 1]})
    assert [tuple(each.values()) for each in found] == [(1, 0), (1, 1), (5, 0), (5, 1)]


def test_every_recipe_has_a_folder_of_its_own():
    def recipe(struct="1-layer-small", baseline="dvaes_power", **changes):
        return config.recipe("digits", struct, baseline, 1, **changes)

    recipes = [
        recipe(),
        recipe(seed=1),
        recipe(beta=5.0),
        recipe(base_lr=0.01),
        recipe(sampler="pa"),
        recipe(hidden=()),
        recipe("mine", num_groups=1, units=8, hidden=(8, 8)),
        recipe("mine", num_groups=1, units=8, hidden=(88,)),
        recipe(init_from="runs/a-b"),
        recipe(init_from="runs/a/b"),
        recipe(init_from="/" + "x" * 500),
        recipe(lr_steps=((0.0, 1.0),)),
        recipe(lr_steps=((0.0, 0.1),)),
        recipe(baseline="gumbolt"),
    ]
    folders = [own_folder(each) for each in recipes]
    assert len(set(folders)) == len(recipes)
    assert str(folders[0]) == "digits/1-layer-small/dvaes_power-k1-1000000-seed0"
    assert str(folders[2]) == "digits/1-layer-small/dvaes_power-k1-1000000-beta=5.0-seed0"
    for folder in folders:
        assert len(folder.parts) == 3
        assert len(folder.name.encode()) < 256
