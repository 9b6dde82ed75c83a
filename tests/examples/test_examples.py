"""The examples run, each on little data."""

import pathlib
import runpy

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# What the entry point of each takes to be quick, and a line that it prints.
RUNS = {"rbm_on_pixels.py": ((60,), "test log-likelihood")}


def test_every_example_is_run():
    assert {file.name for file in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_example(name, capsys):
    arguments, line = RUNS[name]
    runpy.run_path(str(EXAMPLES / name))["main"](*arguments)
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("name", RUNS)
def test_example_is_short(name):
    assert len((EXAMPLES / name).read_text().splitlines()) < 80
