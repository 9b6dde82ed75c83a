"""Fixtures shared by all tests."""

import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def benchmark_data() -> pathlib.Path:
    """The folder with the real benchmark files, named by DVAE_TF_DATA; skips where it is not set."""
    folder = os.environ.get("DVAE_TF_DATA", "")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("DVAE_TF_DATA names no folder with the benchmark data")
    return pathlib.Path(folder)


@pytest.fixture(autouse=True)
def tiny_structures(monkeypatch):
    """The tiny structures and their dataset are in the tables of every test."""
    from support.tiny import add_tiny_structures  # imports TensorFlow, which not every test needs

    add_tiny_structures(monkeypatch)
