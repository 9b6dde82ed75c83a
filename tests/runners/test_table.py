"""The table runner: cells are trained once, found again, and set out as in the papers."""

import json

import pytest

from dvae_tf import config
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
