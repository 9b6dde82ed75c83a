"""Tests of the page of results."""

import json
import pathlib

import pytest

from dvae_tf import config
from runners.cells import cell_folder
from runners.results import command, results_page
from support.programs import ROOT, run

CONFIGS = sorted((ROOT / "results").glob("*/*/*/config.json"))


_TEXTS = ("struct", "baseline", "sampler", "schedule", "graph", "init_from")
_SIZES = ("hidden", "channels")


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: "-".join(file.parts[-4:-1]))
def test_the_command_is_the_run(file):
    recipe = config.Recipe.from_json(json.loads(file.read_text()))
    program, *flags = command(recipe).removeprefix("python -m runners.").split(" ")
    given = dict(flag.removeprefix("--").split("=") for flag in flags)
    fields = {
        name: kind if kind in (int, float) else None for name, kind in config.Recipe.__annotations__.items()
    }
    typed = {
        name: text == "True" if text in ("True", "False") else (fields[name] or _number)(text)
        for name, text in given.items()
        if name not in (*_TEXTS, *_SIZES, "lr_steps")
    }
    typed |= {name: given[name] for name in _TEXTS if name in given}
    typed |= {name: tuple(map(int, given[name].split(","))) for name in _SIZES if name in given}
    if "lr_steps" in given:
        typed["lr_steps"] = tuple(tuple(map(float, step.split(":"))) for step in given["lr_steps"].split(","))
    assert config.recipe(program, **typed) == recipe


def test_folders_are_named_by_their_recipes():
    for file in CONFIGS:
        recipe = config.Recipe.from_json(json.loads(file.read_text()))
        assert ROOT / "results" / cell_folder(recipe) == file.parent


def _number(text):
    return float(text) if "." in text or "e" in text else int(text)


def test_the_committed_page_is_that_of_the_committed_results():
    assert (ROOT / "docs" / "results.md").read_text() == results_page(ROOT / "results")


def test_a_page_without_results_is_refused(tmp_path):
    _, err = run("results", f"--results_dir={tmp_path}", code=2)
    assert "results_dir: expected folders with result.json" in err
    assert not list(pathlib.Path(tmp_path).iterdir())
