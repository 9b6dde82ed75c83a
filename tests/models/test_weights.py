"""Weights of earlier versions, whose variables had other names."""

import numpy as np

from dvae_tf import models, storage
from dvae_tf.models.variable_names import named_variables
from support.tiny import recipe, rough_model


def test_weights_with_the_names_of_version_0_1_are_loaded(tmp_path):
    model = rough_model(sampler="pa", num_tracking_chains=5)
    arrays = storage.variable_arrays(named_variables(model))
    assert any("/tracking_left" in path for path in arrays)
    old = {
        path.replace("/tracking_", "/witness_").replace("/num_tracked", "/num_witnessed"): array
        for path, array in arrays.items()
    }
    assert old.keys() != arrays.keys()
    storage.write_arrays(tmp_path / "weights.npz", old)
    settings = recipe(sampler="pa", num_tracking_chains=5).to_json()
    settings["num_witnesses"] = settings.pop("num_tracking_chains")
    storage.write_json(tmp_path / "config.json", settings)
    loaded = models.load(tmp_path)
    for name, array in storage.variable_arrays(named_variables(loaded)).items():
        np.testing.assert_array_equal(array, arrays[name])
