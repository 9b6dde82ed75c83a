"""The same seed gives the same result, to the last bit; another seed another one."""

import json

import pytest

from support import killed_run, runs

OPTIONS = {"num_train_iter": 30, "num_validations": 2}


@pytest.mark.slow
def test_two_processes_and_two_runs_of_one_process_agree(tmp_path):
    code, said = runs.train(tmp_path / "elsewhere", **OPTIONS)
    assert code == 0, said
    elsewhere = runs.final(tmp_path / "elsewhere")
    # Twice in this process, which has done other things before.
    for name in ("first", "second"):
        killed_run.main(tmp_path / name, json.dumps(OPTIONS))
        assert not runs.differences(elsewhere, runs.final(tmp_path / name))
    killed_run.main(tmp_path / "other", json.dumps({**OPTIONS, "seed": 1}))
    different = runs.differences(elsewhere, runs.final(tmp_path / "other"))
    assert {"state/prior/weights", "result/test_nll"} <= different
