"""Tests of the trained weights that come with the library."""

import json
import pathlib

import numpy as np
import pytest

from dvae_tf import config, models
from dvae_tf.models import pretrained
from dvae_tf.storage import StorageError

RESULTS = pathlib.Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("name", models.PRETRAINED)
def test_short_names_load_models_that_sample(name):
    model = models.load(name)
    folder = RESULTS / models.PRETRAINED[name]
    assert model.recipe == config.Recipe.from_json(json.loads((folder / "config.json").read_text()))
    result = json.loads((folder / "result.json").read_text())
    assert model.recipe.dataset == result["dataset"]
    assert name.startswith(model.recipe.dataset)
    # log Z as it was when the weights were kept: near the one of the result, which was measured later.
    np.testing.assert_allclose(float(model.prior.log_partition), result["log_partition"], atol=0.5)
    images = model.sample(4, seed=(0, 1)).images.numpy()
    assert images.shape == (4, model.mean_x.shape[0])
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.std() > 0.1


def test_every_committed_weight_has_a_name():
    committed = {str(file.parent.relative_to(RESULTS)) for file in RESULTS.rglob("weights.npz")}
    assert committed == set(models.PRETRAINED.values())


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    name = next(iter(models.PRETRAINED))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(StorageError, match="config.json"):
        models.load(name)


def test_what_is_not_there_is_refused(tmp_path, monkeypatch):
    assert pretrained.pretrained_folder("nothing") is None
    with pytest.raises(FileNotFoundError, match="a run folder, or one of .*digits, omniglot; got mnist"):
        models.load("mnist")
    monkeypatch.setattr(pretrained, "_PLACES", (tmp_path,))
    with pytest.raises(FileNotFoundError, match="binarized_mnist: expected its weights in one of"):
        models.load("binarized_mnist")
