"""The examples run, each on little data."""

import pathlib
import runpy

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# Arguments that make each example quick, and lines that it prints.
RUNS = {
    "joint_distribution.py": ((500,), ["KL of the bits: 5.9", "KL of the relaxed pair, beta = 100"]),
    "keras_model.py": ((2,), ["15 trainable variables", "log Z = "]),
    "rbm_from_file.py": (("machine.npz", 50), ["log Z = ", "R-hat", "with half of them given: [0. "]),
    "rbm_on_pixels.py": ((60,), ["test log-likelihood"]),
    "semi_supervised.py": ((2,), ["binary bottleneck", "logistic regression: 92.0%"]),
}


def test_every_example_is_run():
    assert {file.name for file in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder with a machine in it whose first units are nearly certain."""
    rng = np.random.default_rng(0)
    bias = np.concatenate([[-20.0, 20.0], rng.normal(size=4)])
    np.savez(
        tmp_path / "machine.npz", visible_bias=bias, hidden_bias=np.zeros(5), weights=rng.normal(size=(6, 5))
    )
    monkeypatch.chdir(tmp_path)


LONG = ("keras_model.py", "semi_supervised.py")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in RUNS]
)
def test_example(name, capsys):
    arguments, lines = RUNS[name]
    runpy.run_path(str(EXAMPLES / name))["main"](*arguments)
    out = capsys.readouterr().out
    for line in lines:
        assert line in out


@pytest.mark.parametrize("name", RUNS)
def test_example_is_short(name):
    assert len((EXAMPLES / name).read_text().splitlines()) < 80
