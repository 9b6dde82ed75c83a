"""The same seed gives the same result, to the last bit; another seed another one."""

import json

import killed_run
import runs

OPTIONS = {"struct": "tiny-2", "k": 2, "num_train_iter": 30, "num_validations": 2}


def child(folder, **options):
    code, err = runs.train(folder, **{**OPTIONS, **options})
    assert code == 0, err
    return runs.final(folder)


def test_two_processes_and_two_runs_of_one_process_agree(tmp_path, monkeypatch):
    first, second = (child(tmp_path / name) for name in ("first", "second"))
    assert not runs.differences(first, second)
    other = child(tmp_path / "other", seed=1)
    assert {"state/prior/weights", "result/test_nll"} <= runs.differences(first, other)
    # Twice in this one, which has done other things before.
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    for name in ("third", "fourth"):
        killed_run.main(tmp_path / name, json.dumps(OPTIONS))
        assert not runs.differences(first, runs.final(tmp_path / name))
