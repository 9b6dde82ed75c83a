"""Shares of a step by several devices and several processes: the objective of one process, to rounding."""

import json
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from dvae_tf import models, storage
from runners import devices
from support import programs, runs
from support.tiny import recipe

OPTIONS = {"struct": "tiny-2", "k": 2, "num_replicas": 2, "num_chains": 20}


def child(folder, **options):
    code, err = runs.train(folder, **{**OPTIONS, **options})
    assert code == 0, err


def assert_close(folder, whole):
    first, second = runs.newest(whole), runs.newest(folder)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-5, atol=1e-5, err_msg=name)
    results = [storage.read_json(each / "result.json") for each in (whole, folder)]
    for key in ("test_nll", "log_partition"):
        assert results[1][key] == pytest.approx(results[0][key], rel=1e-5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one-process") / "run"
    child(folder)
    return folder


@pytest.mark.parametrize(
    ("sampler", "field", "shape"),
    [
        pytest.param("pcd", "left", (2, 10), marks=pytest.mark.slow),
        pytest.param("pa", "left", (2, 10), marks=pytest.mark.soak),
        pytest.param("pt", "replica_left", (2, 20, 10), marks=pytest.mark.soak),
    ],
)
def test_two_devices_give_what_one_gives(sampler, field, shape, whole, tmp_path):
    if sampler != "pcd":
        whole = tmp_path / "one"
        child(whole, sampler=sampler)
    child(tmp_path / "two", sampler=sampler, strategy="mirrored")
    assert_close(tmp_path / "two", whole)
    chains = runs.newest(tmp_path / "two")[f"state/prior/sampler_{field}"]
    assert chains.shape[:-1] == shape
    assert np.any(chains[0] != chains[1])


def workers(folder, kills=(None, None)):
    """Both workers of a run, until both have ended; exit codes and what they said."""
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{each.getsockname()[1]}" for each in (first, second)]
    running = []
    for index, kill in enumerate(kills):
        cluster = {"cluster": {"worker": places}, "task": {"type": "worker", "index": index}}
        environment = {**programs.environment(), "TF_CONFIG": json.dumps(cluster)}
        options = json.dumps({**OPTIONS, "strategy": "multi_worker", "kill": kill})
        command = [sys.executable, "-m", "support.killed_run", str(folder), options]
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    said = [each.communicate(timeout=300)[1] for each in running]
    return [each.returncode for each in running], said


@pytest.mark.soak
def test_two_processes_give_what_one_gives_and_go_on_after_one_is_killed(whole, tmp_path):
    codes, said = workers(tmp_path / "two")
    assert codes == [0, 0], said
    assert_close(tmp_path / "two", whole)
    # The second is killed: the first notices, says so, and leaves the checkpoint of step 30.
    codes, said = workers(tmp_path / "parts", (None, ["steps", 38]))
    assert codes == [1, -signal.SIGKILL]
    assert "another worker is gone, or cannot be reached" in said[0]
    assert "checkpoint-000000030.npz is the last good checkpoint" in said[0]
    codes, said = workers(tmp_path / "parts")
    assert codes == [0, 0], said
    assert not runs.differences(*(runs.final(tmp_path / name) for name in ("two", "parts")))


def test_each_replica_sees_its_part_of_the_batch_with_its_own_draws():
    """A replica's update is that of its part of the batch alone; updates are averaged, and chains stacked."""
    model = models.DVAE(recipe("tiny-lin", num_replicas=2, train_batchsize=4), np.full(6, 0.4))
    model.compile()
    x = np.array([[0, 0, 0, 1, 1, 1]] * 2 + [[1, 1, 1, 0, 0, 0]] * 2, np.float32)
    updates = [model.replica_update(x, replica) for replica in (0, 1)]
    for replica, update in enumerate(updates):
        part = x[2 * replica : 2 * replica + 2]
        alone = model.replica_update(np.tile(part, (2, 1)), replica)
        np.testing.assert_allclose(update.report, alone.report, rtol=1e-5)
    assert np.any(updates[0].chains.left != updates[1].chains.left)
    combined = models.combine(updates)
    for mean, first, second in zip(combined.gradients, *(each.gradients for each in updates), strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(combined.chains.left[1], updates[1].chains.left)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_chains": 21}, "num_chains: expected a multiple of num_replicas, 2, got 21"),
        ({"train_batchsize": 25}, "train_batchsize: expected a multiple"),
        ({"num_replicas": 0}, "num_replicas"),
    ],
)
def test_replicas_divide_chains_and_batch(changes, message):
    with pytest.raises(ValueError, match=message):
        recipe(**{"num_replicas": 2, **changes})


def test_replicas_are_counted_before_anything_starts(monkeypatch):
    assert devices.num_replicas("none", None) == 1
    assert devices.num_replicas("none", 4) == 4
    assert devices.num_replicas("mirrored", 2) == 2
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert devices.num_replicas("multi_worker", None) == 2
    for strategy, asked, content, message in (
        ("tpu", None, "", "strategy: expected one of"),
        ("mirrored", None, "", "num_replicas: expected a number"),
        ("multi_worker", 3, json.dumps(cluster), "num_replicas: expected 2"),
        ("multi_worker", None, "[]", "TF_CONFIG: expected"),
    ):
        monkeypatch.setenv("TF_CONFIG", content)
        with pytest.raises(ValueError, match=message):
            devices.num_replicas(strategy, asked)
