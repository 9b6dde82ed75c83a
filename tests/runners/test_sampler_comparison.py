"""Tests of the comparison of samplers at equal wall time, on the digits and in seconds."""

import json

import pytest

from support.programs import run

CELL = ["--dataset=digits", "--struct=1-layer-small", "--minutes=0.001"]


@pytest.mark.soak
def test_rows_are_gathered_and_finished_runs_kept(tmp_path):
    flags = [*CELL, f"--runs_dir={tmp_path / 'runs'}", f"--out={tmp_path / 'rows.json'}"]
    out, _ = run("sampler_comparison", "--samplers=pcd:10x1", *flags)
    # At least so many steps, however short the time.
    assert "1,000 steps in 0.001 minutes" in out
    first = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert set(first) == {"pcd:10x1"}
    assert first["pcd:10x1"]["recipe"]["num_chains"] == 10
    assert first["pcd:10x1"]["log_partition_tracking_error"] is None
    out, _ = run("sampler_comparison", "--samplers=pcd:10x1,pa:10x1", *flags)
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert rows["pcd:10x1"] == first["pcd:10x1"]
    assert rows["pa:10x1"]["log_partition_tracking_error"] >= 0
    assert out.count("ms a step") == 1


def test_bad_use(tmp_path):
    for samplers in ("pcd", "pcd:10", "mcmc:10x1"):
        _, err = run("sampler_comparison", *CELL, f"--samplers={samplers}", code=2)
        assert "samplers: expected name:chains x sweeps" in err
        assert samplers in err
