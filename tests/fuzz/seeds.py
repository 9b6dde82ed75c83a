"""Small valid files of every kind that the library reads."""

import io
import json

import numpy as np
import scipy.io
import scipy.sparse

from dvae_tf import config, storage
from support.results import REQUIRED

# As `mat_files.read` takes them: the layout of the published files, smaller.
MAT_SHAPES = {"data": (16, "train"), "testdata": (16, "test"), "targetchar": (1, "train")}


def _saved(save, *args, **kwargs) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


def _arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 2, (10, 4, 4)).astype(bool),
        rng.integers(0, 256, (10, 16)).astype(np.uint8),
        rng.random((10, 4, 4, 1)).astype(np.float32),
        np.asfortranarray(rng.random((10, 16))),
    ]


def npy() -> list[bytes]:
    return [_saved(np.save, array) for array in _arrays()]


def npz() -> list[bytes]:
    found = [_saved(save, array) for save in (np.savez, np.savez_compressed) for array in _arrays()]
    return [*found, _saved(np.savez, a=_arrays()[0], b=_arrays()[1])]


def _checkpoint_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "dvae/mean_x": rng.random(6).astype(np.float32),
        "dvae/posterior/kernel": np.zeros((6, 8), np.float32),
        "dvae/prior/left": rng.integers(0, 2, (5, 3)).astype(np.float32),
        "dvae/step": np.int64(7),
        "history/step": np.array([1.0, 2.0]),
        "history/val_nll": np.array([5.0, 4.0]),
    }


def checkpoints() -> list[bytes]:
    """As the library writes them."""
    return [storage.sealed(_checkpoint_arrays())]


def archives() -> list[bytes]:
    """As its parser takes them."""
    return [_saved(save, **_checkpoint_arrays()) for save in (np.savez, np.savez_compressed)]


def configs() -> list[bytes]:
    cells = [("digits", "1-layer-small", "dvaes_power", 1), ("omniglot", "2-layer-nonlin", "concrete", 20)]
    return [json.dumps(config.recipe(*cell).to_json(), indent=2).encode() for cell in cells]


def results() -> list[bytes]:
    optional = {"test_nll_bracket": [90.4, 90.6], "versions": {"numpy": "2"}, "later": [{"a": [1, None]}]}
    return [json.dumps(REQUIRED).encode(), json.dumps(REQUIRED | optional).encode()]


def mat() -> list[bytes]:
    rng = np.random.default_rng(2)
    arrays = {
        "data": rng.random((16, 5), np.float32),
        "testdata": rng.random((16, 3)),
        "targetchar": rng.integers(0, 50, (1, 5), dtype=np.int16),
    }
    others = {
        "cells": np.array([["text", np.eye(2)]], object),
        "record": {"field": 1.0, "name": "abc"},
        "sparse": scipy.sparse.eye(3, format="csc"),
        "flags": np.array([[True, False]]),
    }
    every = {**others, **arrays}
    return [
        _saved(scipy.io.savemat, arrays),
        _saved(scipy.io.savemat, every, do_compression=True),
        _saved(scipy.io.savemat, every),
        _saved(scipy.io.savemat, arrays, format="4"),
    ]


def amat() -> list[bytes]:
    rng = np.random.default_rng(3)
    rows = (" ".join(map(str, rng.integers(0, 2, 784))) for _ in range(3))
    return ["\n".join(rows).encode()]
