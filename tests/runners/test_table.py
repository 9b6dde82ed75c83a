"""The table runner: cells are trained once, found again, and set out as in the papers or compared."""

import json

import numpy as np
import pytest

from dvae_tf import config, runs
from runners.cells import own_folder
from support import finished
from support.programs import run
from support.results import REQUIRED

CELLS = ["--structs=1-layer-small", "--baselines=dvaes_power,gumbolt", "--ks=1", "--num_train_iter=40"]


def _result(parent, baseline, seed, nll, **changes):
    folder = parent / "digits" / "1-layer-small" / f"{baseline}-k1-40-seed{seed}"
    folder.mkdir(parents=True)
    changes = {"num_train_iter": 40, "base_lr": 1e-2, "num_validations": 10, "seed": seed} | changes
    recipe = config.recipe("digits", "1-layer-small", baseline, 1, **changes)
    (folder / "config.json").write_text(json.dumps(recipe.to_json()))
    (folder / "result.json").write_text(json.dumps(REQUIRED | {"test_nll": nll}))


@pytest.mark.slow
def test_cells_are_trained_once(tmp_path):
    flags = [*CELLS, "--baselines=gumbolt", f"--runs_dir={tmp_path}", f"--results_dir={tmp_path / 'none'}"]
    out, _ = run("table", *flags)
    assert "1 cells, 1 of them to be trained" in out
    file = tmp_path / "digits" / "1-layer-small" / "gumbolt-k1-40-seed0" / "result.json"
    nll = json.loads(file.read_text())["test_nll"]
    out, _ = run("table", *flags)
    assert "1 cells, 0 of them to be trained" in out
    assert f"{nll:.2f}" in out


def test_layout_best_and_spread(tmp_path):
    for seed, power, gumbolt in ((0, 22.0, 23.5), (1, 22.4, 23.0)):
        _result(tmp_path, "dvaes_power", seed, power)
        _result(tmp_path, "gumbolt", seed, gumbolt)
    out = tmp_path / "table.md"
    flags = ["--seeds=0,1", "--notrain", f"--results_dir={tmp_path}", f"--runs_dir={tmp_path / 'none'}"]
    run("table", *CELLS, *flags, f"--out={out}")
    header, _, row = out.read_text().splitlines()
    assert header == "| struct | K | `dvaes_power` | `gumbolt` |"
    assert row == "| `1-layer-small` | 1 | **22.20 ± 0.28** | 23.25 ± 0.35 |"


def test_bad_use(tmp_path):
    for flags, message in (
        (["--ks=one"], "ks"),
        (["--baselines=vae"], "baseline"),
        (["--scale=huge"], "scale"),
    ):
        _, err = run("table", *flags, f"--runs_dir={tmp_path}", code=2)
        assert message in err
        assert "Traceback" not in err


def test_result_of_another_recipe_is_refused(tmp_path):
    flags = [*CELLS, "--baselines=gumbolt", "--notrain", f"--results_dir={tmp_path}"]
    _result(tmp_path, "gumbolt", 0, 23.0, base_lr=3e-3)
    _, err = run("table", *flags, f"--runs_dir={tmp_path / 'none'}", code=2)
    assert "base_lr: folder has 0.003, requested 0.01" in err
    assert "gumbolt-k1-40-seed0" in err


# Tables of one's own.

QUICK = {"num_train_iter": 40, "num_validations": 2, "num_chains": 10, "num_sweeps": 2, "eval_iw_samples": 10}
OWN = ["--struct=1-layer-small", *(f"--{name}={value}" for name, value in QUICK.items())]


def _finished(parent, level, **changes):
    recipe = config.recipe("digits", "1-layer-small", "dvaes_power", 1, **QUICK, **changes)
    folder = parent / own_folder(recipe)
    return finished.write(folder, np.arange(250.0) / 10 + level, **QUICK, **changes)


def test_finished_cells_are_compared_over_seeds(tmp_path):
    for seed, sharp, soft in ((0, 1.0, 4.0), (1, 1.5, 4.7)):
        _finished(tmp_path, sharp, seed=seed, beta=20.0)
        _finished(tmp_path, soft, seed=seed, beta=5.0)
    axes = ["--axis=beta=20,5,7", "--axis=seed=0,1"]
    out, _ = run(
        "table",
        "--dataset=digits",
        *OWN,
        *axes,
        f"--runs_dir={tmp_path}",
        "--notrain",
        f"--out={tmp_path}/t.md",
    )
    assert "6 cells, 2 of them to be trained" in out
    assert out.count("beta=7.0") == out.count("not trained") == 2
    mean = np.arange(250.0).mean() / 10
    assert (tmp_path / "t.md").read_text().splitlines()[2:] == [
        f"| A | beta=20 | 0, 1 | {mean + 1.25:.2f} ± 0.35 |  |  |  |",
        f"| B | beta=5 | 0, 1 | {mean + 4.35:.2f} ± 0.49 | +3.10 from A | 0.10 | 0.00 |",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset=digits", "--axis=bta=5"], "got 'bta'"),
        (["--dataset=digits", "--axis=beta=5,-1"], "beta: expected float above 0"),
        (["--dataset=digits", "--axis=baseline=gumbolt,vae"], "baseline: expected one of"),
        (["--dataset=digits", "--axis=init_from=none,nowhere"], "init_from: "),
        (
            ["--dataset=digits", "--axis=train_batchsize=10,2000"],
            "train_batchsize: expected at most the 1297",
        ),
        (
            ["--dataset=digits", "--axis=beta=none,40"],
            "expected different recipes, got one for beta=none and beta=40",
        ),
        (["--dataset=digits", "--scale=mini", "--axis=seed=0"], "scale: expected none with axes"),
        (["--axis=seed=0"], "dataset: expected one of digits"),
        (["--num_sweeps=3"], "num_sweeps: expected none in a table of the papers"),
    ],
)
def test_everything_is_checked_before_anything_is_trained(flags, message, tmp_path):
    _, err = run(
        "table",
        *flags,
        "--struct=1-layer-small" if flags[0] != "--num_sweeps=3" else "--ks=1",
        f"--runs_dir={tmp_path}",
        code=2,
    )
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_table_of_ones_own_images_goes_on_where_it_was(tmp_path):
    images = np.random.default_rng(0).random((300, 8, 8)) < 0.4
    np.save(tmp_path / "train.npy", images)
    np.save(tmp_path / "test.npy", images[:30])
    files = [f"--{split}={tmp_path / split}.npy" for split in ("train", "test")]
    flags = ["--name=mine", *files, *OWN, f"--runs_dir={tmp_path / 'runs'}"]
    out, _ = run("table", *flags, "--seeds=3")
    assert "1 cells, 1 of them to be trained" in out
    (first,) = (tmp_path / "runs" / "mine" / "1-layer-small").iterdir()
    written = (first / "result.json").read_bytes()
    out, _ = run("table", *flags, "--axis=units=32,8", "--seeds=3", "--reference=best")
    assert "2 cells, 1 of them to be trained" in out
    assert (first / "result.json").read_bytes() == written
    nlls = [runs.read_result(file.parent).test_nll for file in (tmp_path / "runs").rglob("result.json")]
    assert f"+{max(nlls) - min(nlls):.2f} from" in out
    assert "units=32" in out


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_others(tmp_path):
    flags = ["--dataset=digits", *OWN, "--axis=base_lr=1e9,0.01", f"--runs_dir={tmp_path}"]
    out, err = run("table", *flags, code=1)
    assert "1 of 2 cells failed" in err
    assert "base_lr=1e+09" in out
    (file,) = tmp_path.rglob("result.json")
    assert runs.read_recipe(file.parent).base_lr == 0.01
