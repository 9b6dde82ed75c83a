"""Runs side by side: labels, groups over seeds, paired differences and what cannot be paired."""

import dataclasses
import re

import numpy as np
import pytest

from dvae_tf import storage
from runners.comparison import Group, difference, groups, labels, obstacle, read_run, rows
from support.finished import write

NLL = np.random.default_rng(0).normal(22, 3, 40)


@pytest.fixture
def made(tmp_path):
    """Writes runs with these changes, in folders 0, 1, …, and reads them."""

    def make(*all_changes):
        nlls = [{"image_nll": NLL} | changes for changes in all_changes]
        return [read_run(write(tmp_path / str(index), **each)) for index, each in enumerate(nlls)]

    return make


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # What follows from the baseline, as its temperature, is left out.
        ([{}, {"baseline": "gumbolt"}], ["dvaes_power", "gumbolt"]),
        ([{"beta": 5.0}, {"beta": 40.0, "k": 5}], ["k=1, beta=5", "k=5, beta=40"]),
        ([{"beta": 5.0}, {"baseline": "gumbolt"}], ["dvaes_power, beta=5", "gumbolt"]),
        ([{"seed": 3}, {"seed": 4}], ["seed=3", "seed=4"]),
        ([{"num_sweeps": 20}, {"num_sweeps": 5}], ["num_sweeps=20", "num_sweeps=5"]),
        ([{"units": 8}, {"units": 16}, {"units": 32}], ["units=8", "units=16", "units=32"]),
        ([{"hidden": ()}, {"hidden": (64, 8)}], ["hidden=[]", "hidden=[64, 8]"]),
        ([{"struct": "1-layer-lin"}, {"struct": "2-layer-lin"}], ["1-layer-lin", "2-layer-lin"]),
        ([{"init_from": "runs/a"}, {}], ["init_from=runs/a", "init_from=none"]),
        (
            [{"patience": 3}, {"couplings": False}],
            ["couplings=yes, patience=3", "couplings=no, patience=none"],
        ),
        ([{}, {"test": "a" * 64, "source": "mine.npy"}], ["digits", "mine.npy"]),
        ([{}, {"parts": {"decoder": {}}}], ["dvaes_power", "decoder of its own"]),
        ([{}], ["dvaes_power"]),
    ],
)
def test_labels_are_the_fields_in_which_runs_differ(made, changes, expected):
    assert labels(made(*changes)) == expected


def test_labels_of_likelihoods(made):
    names = ("continuous_bernoulli", "discretized_logistic")
    runs = made(*({"likelihood": name} for name in names))
    assert labels(runs) == [*names]


def test_runs_that_differ_in_the_seed_alone_are_a_group(made):
    levels = {0: 1.0, 1: 1.5, 2: 3.0}
    changes = [{"seed": seed, "image_nll": NLL + level} for seed, level in levels.items()]
    group, other = groups(made(*changes, {"seed": 0, "beta": 5.0}))
    assert [run.recipe.seed for run in group.runs] == [0, 1, 2]
    assert (group.label, other.label) == ("beta=40", "beta=5")
    assert group.mean == pytest.approx(NLL.mean() + np.mean([*levels.values()]))
    assert group.standard_deviation == pytest.approx(np.std([*levels.values()], ddof=1))
    assert other.standard_deviation is None


def test_a_run_that_is_there_twice_is_not_another_seed(made):
    found = groups(made({"seed": 0}, {"seed": 0}, {"seed": 1}))
    assert [[run.folder.name for run in group.runs] for group in found] == [["0", "2"], ["1"]]


def simulated(rng, seeds, effect, made_run, noise):
    """A group whose runs have the NLL of the images, an effect of the seed and noise of run and image."""
    runs = []
    for seed in seeds:
        nll = NLL + effect[seed] + noise * rng.normal() + rng.normal(0, 0.1, len(NLL))
        runs.append(
            dataclasses.replace(
                made_run, recipe=dataclasses.replace(made_run.recipe, seed=seed), image_nll=nll
            )
        )
    return Group("", tuple(runs))


@pytest.mark.parametrize("seeds", [((0, 1, 2), (0, 1, 2)), ((0, 1, 2), (3, 4))], ids=["same", "other"])
def test_the_error_over_seeds_is_that_of_training_again(made, seeds):
    """Its square is the variance of the difference over many repetitions; what a seed shares is paired."""
    (run,) = made({})
    rng = np.random.default_rng(1)
    means, squares = [], []
    for _ in range(1500):
        effect = rng.normal(0, 0.5, 5)
        found = difference(*(simulated(rng, each, effect, run, 0.2) for each in seeds))
        means.append(found.mean)
        squares.append(found.over_seeds**2)
    # The relative error of a variance from n repetitions is sqrt(2 / n).
    assert np.mean(squares) == pytest.approx(np.var(means), rel=5 * np.sqrt(2 / 1500))
    shared = 0.5**2 * (1 / 3 + 1 / 2)
    assert (np.var(means) > shared) == (seeds[0] != seeds[1])


def test_the_error_over_images_holds_that_of_log_z(made):
    first, second = made({"beta": 5.0}, {"image_nll": NLL[::-1]})
    result = dataclasses.replace(first.result, log_partition_standard_error=0.7)
    first = dataclasses.replace(first, result=result)
    found = difference(Group("", (first,)), Group("", (second,)))
    over_images = np.std(NLL[::-1] - NLL, ddof=1) / np.sqrt(len(NLL))
    assert found.mean == pytest.approx(0)
    assert found.over_images == pytest.approx(np.sqrt(over_images**2 + 0.49))
    assert found.over_seeds is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test": "a" * 64}, "other test images"),
        ({"test": "a" * 64, "image_nll": NLL[:30]}, "other test images"),
        ({"parts": {"likelihood": {}}}, "another likelihood"),
        ({"parts": {"decoder": {}}}, None),
    ],
)
def test_what_cannot_be_paired_says_why(made, changes, reason):
    first, second = groups(made({}, {"beta": 5.0} | changes))
    found = obstacle(first, second)
    assert found is None if reason is None else reason in found


def test_levels_under_two_likelihoods_are_not_paired(made):
    names = ("continuous_bernoulli", "discretized_logistic")
    first, second = groups(made(*({"likelihood": name} for name in names)))
    assert "another likelihood" in obstacle(first, second)


@pytest.mark.parametrize(
    ("file", "reason"),
    [("inputs.json", "0 does not record its test images"), ("test_image_nll.npz", "0 holds no NLL of every")],
)
def test_folders_of_earlier_versions_are_not_paired(made, file, reason):
    old, new = made({}, {"beta": 5.0})
    (old.folder / file).unlink()
    found = rows([read_run(old.folder), new], "first")
    for row in found:
        assert re.search(f"not paired: .*{reason}", row.cells[2])


def test_rows_compare_each_set_of_images_with_its_own_first_or_best(made):
    other = {"test": "a" * 64, "source": "mine.npy"}
    runs = made(
        {"k": 5, "image_nll": NLL + 1},
        {"k": 5, "image_nll": NLL + 9, **other},
        {"k": 25, "image_nll": NLL},
        {"k": 25, "image_nll": NLL + 8, **other},
    )
    assert [row.cells[2] for row in rows(runs, "first")] == ["", "", "-1.00 from A", "-1.00 from B"]
    assert [row.cells[2] for row in rows(runs, "best")] == ["+1.00 from C", "+1.00 from D", "", ""]
    assert {row.cells[3:] for row in rows(runs, "best")} == {("", ""), ("one seed", "0.00")}
    assert rows(runs[:1], "first")[0].cells[2] == ""


def test_what_has_not_converged_is_never_the_best(made):
    low, high = made({"k": 5}, {"k": 25, "image_nll": NLL + 1})
    low = dataclasses.replace(low, result=dataclasses.replace(low.result, log_partition_converged=False))
    first, second = rows([low, high], "best")
    assert "log Z not converged" in first.cells[1]
    assert (first.cells[2], second.cells[2]) == ("-1.00 from B", "")


def test_image_nlls_of_another_number_are_damage(tmp_path):
    folder = write(tmp_path / "a", NLL)
    storage.write_arrays(folder / "test_image_nll.npz", {"nll": NLL[:7]})
    with pytest.raises(
        storage.StorageError, match="test_image_nll.npz: expected the NLL of 40 test images, got 7"
    ):
        read_run(folder)
