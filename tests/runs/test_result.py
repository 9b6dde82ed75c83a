"""Results: written and read in one place, and what earlier versions did not record."""

import json
import pathlib

import pytest

from dvae_tf import runs, storage
from runners.show import log_partition_text
from support.results import REQUIRED

RESULTS = pathlib.Path(__file__).parents[2] / "results"


def test_a_result_comes_back_from_its_file(tmp_path):
    result = runs.Result(**REQUIRED, test_nll_bracket=(21.4, 21.6), versions={"numpy": "2", "tfp": None})
    runs.write_result(tmp_path, result)
    assert runs.read_result(tmp_path) == result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_nll": None}, "test_nll: expected float, got None"),
        ({"test_nll": "21.5"}, "test_nll: expected float"),
        ({"k": 1.5}, "k: expected int"),
        ({"k": True}, "k: expected int, got True"),
        ({"couplings": 1}, "couplings: expected bool, got 1"),
        ({"log_partition_converged": 1.0}, "log_partition_converged: expected bool or NoneType"),
        ({"test_nll_bracket": [1.0]}, "test_nll_bracket: expected"),
        ({"test_nll_bracket": [1.0, "2"]}, "test_nll_bracket: expected"),
        ({"versions": []}, "versions: expected"),
    ],
)
def test_wrong_types_are_named_with_the_file(change, message, tmp_path):
    storage.write_json(tmp_path / "result.json", REQUIRED | change)
    with pytest.raises(storage.StorageError, match=rf"result\.json: {message}"):
        runs.read_result(tmp_path)


def test_missing_numbers_are_named(tmp_path):
    storage.write_json(tmp_path / "result.json", {"dataset": "digits"})
    with pytest.raises(storage.StorageError, match="expected values for .*test_nll"):
        runs.read_result(tmp_path)
    storage.write_json(tmp_path / "result.json", [])
    with pytest.raises(storage.StorageError, match="expected a result, got list"):
        runs.read_result(tmp_path)


@pytest.mark.parametrize(
    ("recorded", "converged", "text"),
    [
        ({"log_partition_method": "exact", "log_partition_standard_error": 0.0}, True, "24.400"),
        ({"log_partition_method": "normalized", "log_partition_standard_error": 0.0}, True, "24.400"),
        ({"log_partition_method": "two-sided", "log_partition_converged": True}, True, "24.400 ± 0.010"),
        (
            {"log_partition_method": "two-sided", "log_partition_converged": False},
            False,
            "24.400 ± 0.010, not converged",
        ),
        ({"log_partition_method": "ais"}, None, "24.400 ± 0.010, convergence not recorded"),
        ({}, None, "24.400 ± 0.010, convergence not recorded"),
    ],
)
def test_what_was_not_recorded_is_not_taken_as_converged(recorded, converged, text):
    result = runs.Result.from_json(REQUIRED | recorded)
    assert result.log_partition_converged is converged
    assert log_partition_text(result) == text


def test_every_committed_result_is_read():
    files = sorted(RESULTS.glob("*/*/*/result.json"))
    assert len(files) > 80
    for file in files:
        result = runs.read_result(file.parent)
        written = json.loads(file.read_text())
        read = result.to_json()
        assert {name: value for name, value in written.items() if read[name] != value} == {}
        if written.get("log_partition_method") in (None, "ais"):
            assert result.log_partition_converged is None
