"""Tests of the ablation of a schedule, and of the picture of runs against minutes, on the digits."""

import dataclasses
import itertools
import json

import pytest

from dvae_tf import config
from runners import ablation
from support.programs import run


def test_stages_add_one_change_after_another():
    (first, nothing), *rest = ablation.stages("best", "gumbolt")
    assert (first, nothing) == ("published", {})
    assert [name for name, _ in rest] == [f"+ {name}" for name in config.SCHEDULES["best"]]
    recipe, best = (
        config.recipe("digits", "1-layer-small", "gumbolt", 1, schedule=each)
        for each in ("published", "best")
    )
    assert dataclasses.replace(recipe, schedule="best", **rest[-1][1]) == best
    stages = [nothing, *(fields for _, fields in rest)]
    for before, after in itertools.pairwise(stages):
        assert before != after
        assert before.keys() <= after.keys()


@pytest.mark.slow
def test_rows_are_trained_written_and_drawn(tmp_path):
    runs, out, picture = tmp_path / "runs", tmp_path / "ablation.json", tmp_path / "race.png"
    table = tmp_path / "ablation.md"
    cell = ["--dataset=digits", "--struct=1-layer-small", "--baselines=gumbolt", f"--runs_dir={runs}"]
    text, _ = run(
        "ablation", *cell, "--num_train_iter=40", "--num_validations=2", f"--out={out}", f"--table={table}"
    )
    assert table.read_text().count("\n") == 2 + len(ablation.stages("best", "gumbolt"))
    found = json.loads(out.read_text())
    rows = found["validation_nll"]["gumbolt"]
    assert list(rows) == [name for name, _ in ablation.stages("best", "gumbolt")]
    assert all(20 < nll < 60 for nll in rows.values())
    assert "+ centered machine" in text
    folders = sorted(str(file.parent) for file in runs.rglob("result.json"))
    assert len(folders) == len(rows)
    figures = tmp_path / "race.json"
    run("race", f"--log_dir={','.join(folders)}", f"--out={picture}", f"--json={figures}")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert {len(each["val_nll"]) for each in json.loads(figures.read_text())["runs"]} == {2}


def test_race_without_runs(tmp_path):
    _, err = run("race", f"--out={tmp_path / 'race.png'}", code=2)
    assert "log_dir: expected folders of finished runs, got none" in err
