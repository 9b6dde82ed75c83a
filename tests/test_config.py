import dataclasses

import numpy as np
import pytest

from dvae_tf import config
from dvae_tf.config import published


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"dataset": "emnist"}, ["dataset", "binarized_mnist", "digits", "dynamic_binarization"]),
        ({"struct": "3-layer"}, ["struct", "2-layer-nonlin", "1-layer-lin"]),
        ({"baseline": "vae"}, ["baseline", "dvaes_power"]),
        ({"sampler": "hmc"}, ["sampler", "pcd"]),
        ({"beta": 0.0}, ["beta", "above 0"]),
        ({"beta": float("nan")}, ["beta"]),
        ({"k": 0}, ["k:", "above 0"]),
        ({"k": 1.5}, ["k:", "int"]),
        ({"num_train_iter": 0}, ["num_train_iter"]),
        ({"dataset": "../mine", "dynamic_binarization": True}, ["dataset", "letters"]),
        ({"patience": 0}, ["patience", "above 0"]),
        ({"num_chains": -1}, ["num_chains"]),
        ({"seed": -1}, ["seed"]),
        ({"num_chains": 2**31}, ["num_chains", "below 2^31"]),
        ({"weight_decay": 10**400}, ["weight_decay", "below 2^31"]),
        ({"couplings": 1}, ["couplings", "true or false"]),
        ({"dynamic_binarization": "no"}, ["dynamic_binarization", "true or false"]),
        ({"struct": ["2-layer-nonlin"]}, ["struct", "2-layer-nonlin"]),
        ({"lr_steps": ((0.1, 1.0),)}, ["lr_steps"]),
        ({"lr_steps": ()}, ["lr_steps"]),
        ({"lr_steps": ((0.0, float("nan")),)}, ["lr_steps"]),
        ({"lr_steps": ((0.0, 1.0), (float("nan"), 1.0))}, ["lr_steps"]),
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


def test_figures_of_every_paper():
    """Spot checks of columns, rows and tables against the papers as printed."""
    cells = {
        ("binarized_mnist", "1-layer-nonlin", "dvae_spike_exp", 1): 85.48,
        ("binarized_mnist", "1-layer-nonlin", "dvaes_gi", 1): 86.23,
        ("binarized_mnist", "2-layer-nonlin", "dvaepp_exp", 25): 85.49,
        ("omniglot", "4-layer-nonlin", "dvaes_unexp", 5): 99.61,
        ("omniglot", "1-layer-lin", "dvaepp_power", 1): 105.45,
        ("binarized_mnist", "1-layer-nonlin", "gumbolt", 1): 84.86,
        ("binarized_mnist", "1-layer-nonlin", "gumbolt_nw", 20): 93.50,
        ("omniglot", "2-layer-nonlin", "gumbolt", 20): 98.81,
        ("omniglot", "1-layer-nonlin", "gumbolt_nw", 20): 107.221,
        ("binarized_mnist", "2-layer-lin", "gumbolt", 5): 84.65,
    }
    assert {key: published.PUBLISHED[key].mean for key in cells} == cells
    # 24 rows of 8 columns; 8 rows of GumBolt at three K, 6 of them without couplings too.
    assert len(published.PUBLISHED) == 24 * 8 + 8 * 3 + 6
    spread = published.PUBLISHED["omniglot", "1-layer-lin", "dvaes_gi", 5].standard_deviation
    assert spread == 0.70
    assert published.PUBLISHED["omniglot", "1-layer-lin", "gumbolt", 5].standard_deviation is None


@pytest.mark.parametrize("baseline", config.BASELINES)
def test_every_baseline_has_its_own_sharpness_and_no_other(baseline):
    recipe = config.recipe("binarized_mnist", "1-layer-nonlin", baseline, 2)
    expected = {
        "dvae_spike_exp": 5,
        "dvaepp_exp": 14,
        "dvaepp_logistic": 8,
        "dvaepp_power": 30,
        "dvaepp_directed": 14,
        "dvaes_gi": 30,
        "dvaes_gauss": 30,
        "dvaes_exp": 12,
        "dvaes_unexp": 30,
        "dvaes_power": 40,
    }
    assert recipe.beta == expected.get(baseline)
    without = ("rloo", "vimco", "disarm", "gaussian")
    assert (recipe.temperature is None) == (baseline in expected or baseline in without)
    wrong = {"temperature": 0.5} if baseline in expected else {"beta": 5.0}
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected none for {baseline}"):
        config.recipe("binarized_mnist", "1-layer-nonlin", baseline, 2, **wrong)


@pytest.mark.parametrize(
    ("baseline", "k", "struct", "message"),
    [
        ("rloo", 1, "2-layer-small", "k: expected at least 2 samples for rloo, got 1"),
        ("vimco", 1, "1-layer-small", "k: expected at least 2 samples for vimco, got 1"),
        ("disarm", 1, "1-layer-small", "k: expected at least 2 samples for disarm, got 1"),
        ("disarm", 3, "1-layer-small", "k: expected an even number of samples for disarm, .* got 3"),
        ("rebar", 1, "2-layer-small", "num_groups: expected 1 for rebar, got 2"),
    ],
)
def test_what_estimators_of_bits_ask_for(baseline, k, struct, message):
    with pytest.raises(ValueError, match=message):
        config.recipe("digits", struct, baseline, k)
    good = config.recipe("digits", "1-layer-small", baseline, 4, couplings=False)
    assert config.Recipe.from_json(good.to_json()) == good
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(good, k=k, struct=struct, num_groups=None, units=None)


@pytest.mark.parametrize("baseline", config.BASELINES)
def test_which_systems_take_doubly_reparameterized_gradients(baseline):
    takes = baseline.startswith("dvaes_") or baseline in ("concrete", "gaussian")
    cell = "digits", "1-layer-small", baseline, 2
    if takes:
        recipe = config.recipe(*cell, doubly_reparameterized=True)
        assert recipe.estimator == "doubly_reparameterized"
        assert config.Recipe.from_json(recipe.to_json()) == recipe
    else:
        with pytest.raises(ValueError, match=f"doubly_reparameterized: expected .* for {baseline}"):
            config.recipe(*cell, doubly_reparameterized=True)
    assert config.recipe(*cell).estimator == config.SYSTEMS[baseline].estimator


def test_an_unknown_estimator():
    with pytest.raises(ValueError, match="estimator: expected one of .*vimco.*, got 'reinforce'"):
        config.check_estimator("reinforce", 2, 1)


def test_gumbolt_has_its_own_recipe():
    recipe = config.recipe("binarized_mnist", "2-layer-lin", "gumbolt_nw", 20)
    assert recipe.temperature == 1 / 7
    assert [start for start, _ in recipe.lr_steps] == [0, 0.6, 0.75, 0.95]
    assert [factor for _, factor in recipe.lr_steps] == [1, 0.3, 0.09, 0.027]
    assert recipe.adam_epsilon == 1e-7
    assert not recipe.couplings
    assert recipe.structure.hidden_units == (200,)
    assert config.recipe("binarized_mnist", "2-layer-lin", "gumbolt", 1).couplings
    assert config.recipe("binarized_mnist", "2-layer-lin", "dvaes_power", 1).beta == 30
    concrete = config.recipe("digits", "1-layer-small", "concrete", 1)
    assert (concrete.temperature, concrete.prior_temperature) == (2 / 3, 1 / 2)


def test_data_of_ones_own():
    """A name that is not in the tables takes MNIST's sharpness, and says how its images are binarized."""
    own = config.recipe("shoes-2", "2-layer-nonlin", "dvaes_power", 1, dynamic_binarization=True)
    assert (own.beta, own.dynamic_binarization, own.published) == (30, True, None)
    assert config.Recipe.from_json(own.to_json()) == own
    assert config.recipe("omniglot", "2-layer-nonlin", "dvaes_power", 1).beta == 20
    assert config.recipe("omniglot", "2-layer-nonlin", "dvaes_power", 1).dynamic_binarization
    assert not config.recipe("caltech101_silhouettes", "2-layer-nonlin", "gumbolt", 1).dynamic_binarization
    assert config.recipe("caltech101_silhouettes", "2-layer-nonlin", "dvaes_power", 1).beta == 30


def test_configurations_from_before_there_were_all_fields():
    recipe = config.recipe("omniglot", "2-layer-small", "dvaes_power", 5)
    values = recipe.to_json()
    for name in ("temperature", "prior_temperature", "dynamic_binarization", "patience"):
        del values[name]
    assert config.Recipe.from_json(values) == recipe


def test_older_runs_had_one_weight_of_all_kl_terms():
    for struct, expected in (("1-layer-conv", 0.2), ("1-layer-small", 0.15)):
        values = config.recipe("digits", struct, "gumbolt", 1, kl_warmup_fraction=0.2).to_json()
        assert config.Recipe.from_json(values).local_kl_warmup_fraction == 0.15
        del values["local_kl_warmup_fraction"]
        assert config.Recipe.from_json(values).local_kl_warmup_fraction == expected


def test_there_is_no_local_warm_up_without_local_variables():
    settings = {"num_train_iter": 100, "kl_warmup_fraction": 0.1}
    steps = [
        config.recipe("digits", struct, "gumbolt", 1, **settings).local_kl_warmup_steps
        for struct in ("1-layer-conv", "1-layer-small")
    ]
    assert steps == [15.0, 0.0]


@pytest.mark.parametrize("baseline", ["dvaes_power", "concrete"])
def test_json_round_trip_is_exact_and_strict(baseline):
    recipe = config.recipe("digits", "2-layer-small", baseline, 5, seed=3)
    values = recipe.to_json()
    assert config.Recipe.from_json(values) == recipe
    with pytest.raises(ValueError, match="unknown fields"):
        config.Recipe.from_json({**values, "color": 1})
    for wrong in (None, 3, [[0]], [0, 1], [[0, "a"]], [[10**400, 1]], [[0, 1, 2]]):
        with pytest.raises(ValueError, match="lr_steps"):
            config.Recipe.from_json({**values, "lr_steps": wrong})
    for wrong in (None, [], "text", 1):
        with pytest.raises(ValueError, match="expected a JSON object"):
            config.Recipe.from_json(wrong)
    del values["seed"]
    with pytest.raises(ValueError, match="seed"):
        config.Recipe.from_json(values)


def test_sizes_of_ones_own():
    """A structure is a name for a choice of sizes; changed sizes change it, own names have own sizes."""
    cell = "binarized_mnist", "2-layer-nonlin", "dvaes_power", 1
    known = config.recipe(*cell)
    assert (known.num_groups, known.units, known.hidden) == (2, 200, (200, 200))
    changed = config.recipe(*cell, units=np.int64(64), hidden=[128])
    assert changed.structure == config.Structure(2, 64, (128,))
    assert (changed.struct, changed.published) == ("2x64-128", None)
    linear = config.recipe("binarized_mnist", "1-layer-nonlin", "dvaes_power", 1, hidden=())
    assert (linear.struct, linear.beta) == ("1-layer-lin", 40)
    own = config.recipe("digits", "mine", "dvaes_power", 1, num_groups=4, units=8, hidden=(16,))
    assert (own.struct, own.structure, own.beta) == ("mine", config.Structure(4, 8, (16,)), 30)
    for recipe in (known, changed, linear, own):
        assert config.Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("struct", "changes", "message"),
    [
        ("mine", {}, "struct: expected one of .* got 'mine' without num_groups"),
        ("mine", {"num_groups": 2, "units": 8}, "without hidden"),
        ("1-layer-small", {"hidden": (0,)}, "hidden: expected"),
        ("1-layer-small", {"hidden": "64"}, "hidden: expected"),
        ("1-layer-small", {"units": 2.5}, "units: expected"),
        ("1-layer-small", {"num_groups": 0}, "num_groups: expected"),
        ("1-layer-small", {"units": 1}, "units: expected at least 2 in all groups"),
        ("a/b", {}, "struct: expected a name"),
    ],
)
def test_bad_sizes(struct, changes, message):
    with pytest.raises(ValueError, match=message):
        config.recipe("digits", struct, "dvaes_power", 1, **changes)


def test_a_known_name_has_its_own_sizes():
    recipe = config.recipe("digits", "1-layer-small", "dvaes_power", 1)
    with pytest.raises(ValueError, match="struct: expected another name than '2-layer-small'"):
        dataclasses.replace(recipe, struct="2-layer-small")


def test_numbers_of_numpy_become_pythons():
    cell = "digits", "1-layer-small", "dvaes_power", np.int32(5), np.float32(8)
    recipe = config.recipe(*cell, base_lr=np.float64(1e-3), seed=np.int64(3))
    assert (recipe.k, recipe.beta, recipe.base_lr, recipe.seed) == (5, 8.0, 1e-3, 3)
    assert {type(value) for value in (recipe.k, recipe.seed)} == {int}
    assert config.Recipe.from_json(recipe.to_json()) == recipe


def test_an_error_of_log_z_takes_two_chains():
    with pytest.raises(ValueError, match="ais_chains: expected at least 2 .* got 1"):
        config.recipe("digits", "1-layer-small", "dvaes_power", 1, ais_chains=1)
