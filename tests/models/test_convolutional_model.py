"""Convolutional models with and without local variables: every way in and out of a model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, evaluation, export, models, plots, training
from dvae_tf.models import blocks
from support.keras_files import assert_same_state, saved_and_loaded
from support.tiny import NUM_PIXELS, all_bits, recipe, rough_model
from support.training import SMALL, tiny_images

SHAPE = (2, 3)
X = all_bits(NUM_PIXELS)[::3].astype(np.float32)


def model_of(struct="tiny-conv", **changes):
    return rough_model(struct, **{"baseline": "gumbolt", "image_shape": SHAPE, **changes})


def results(model):
    code = model.encode(X, 2, (0, 3))
    return [
        *code,
        *model.sample(4, (0, 4), 3),
        model.reconstruct(X, (0, 5)),
        model.log_likelihood(X, 5, (0, 2)),
    ]


@pytest.mark.slow
def test_a_keras_file_holds_the_whole_model(tmp_path):
    model = model_of()
    assert model.num_local == 4
    model.compile()
    for _ in range(2):
        model.update(tf.constant(X))
    found = saved_and_loaded(model, tmp_path)
    assert_same_state(found, model)
    for one, other in zip(results(found), results(model), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_images_need_a_shape():
    settings = recipe("tiny-conv", baseline="gumbolt")
    with pytest.raises(ValueError, match="image_shape: expected 6 pixels"):
        models.DVAE(settings, X.mean(0), image_shape=(3, 3))
    known = models.DVAE(config.recipe("digits", "1-layer-conv", "gumbolt", 1), np.full(64, 0.3))
    assert known.image_shape == (8, 8)
    own = config.recipe("mine", "1-layer-conv", "gumbolt", 1, dynamic_binarization=False)
    with pytest.raises(ValueError, match="image_shape: expected .* convolutional networks, got None"):
        models.DVAE(own, np.full(64, 0.3))
    in_color = config.recipe(
        "mine", "1-layer-conv", "gumbolt", 1, dynamic_binarization=False, image_shape=(6, 4, 3)
    )
    assert config.Recipe.from_json(json.loads(json.dumps(in_color.to_json()))) == in_color
    assert models.DVAE(in_color, np.full(72, 0.3)).sample(2, (0, 1), 2).images.shape == (2, 72)


def test_structures_have_names_and_the_ablation_is_one():
    whole, alone = (
        config.recipe("digits", "2-layer-conv", "gumbolt", 1, **changes)
        for changes in ({}, {"num_local_groups": 0})
    )
    assert whole.structure == config.STRUCTURES["2-layer-conv"]
    assert alone.structure == whole.structure._replace(num_local_groups=0, local_units=0)
    assert (whole.struct, alone.struct) == ("2-layer-conv", "2x200-200-conv16.16")
    own = config.recipe(
        "digits",
        "own",
        "gumbolt",
        1,
        num_groups=1,
        units=8,
        hidden=(),
        channels=[4],
        num_local_groups=1,
        local_units=3,
    )
    assert own.structure.name == "1x8-lin-conv4-local1x3"
    with pytest.raises(ValueError, match="local_units: expected at least 1 for 2 local groups, got 0"):
        config.recipe("digits", "1-layer-small", "gumbolt", 1, num_local_groups=2)
    with pytest.raises(ValueError, match="channels: expected numbers of channels"):
        config.recipe("digits", "1-layer-conv", "gumbolt", 1, channels=(0,))


@pytest.mark.slow
def test_the_ablation_has_the_same_networks():
    whole, alone = model_of(scale=0), model_of(scale=0, num_local_groups=0)
    for part in ("features", "posterior"):
        for one, other in zip(getattr(whole, part).variables, getattr(alone, part).variables, strict=True):
            np.testing.assert_array_equal(one, other)
    assert isinstance(alone.encode(X), models.BinaryCode)
    assert whole.decoder.block.first.kernel.shape == alone.decoder.block.first.kernel.shape


@pytest.mark.slow
def test_memory_of_an_estimate_does_not_grow_with_the_samples():
    """K = 4000 in blocks: of what one block holds, the convolutional one is the smaller."""
    assert blocks.block_size(4_000, 100, blocks._CONVOLUTIONAL_ROWS) == 10
    model = model_of()
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        right = models.DVAE.binary_log_weights
        patch.setattr(
            models.DVAE,
            "binary_log_weights",
            lambda self, x, k, seed: seen.append(k) or right(self, x, k, seed),
        )
        found = model.estimate_likelihood(X, 4_000, (0, 1))
    assert np.isfinite(found.log_likelihood).all()
    assert seen == [1_000 // len(X)]


@pytest.mark.slow
def test_statistics_of_all_batch_norms_are_averaged():
    model = model_of()
    norms = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    before = [np.array(norm.moving_mean) for norm in norms]
    model.average_batch_norms(np.stack([X, X[::-1]]))
    moved = [not np.array_equal(norm.moving_mean, value) for norm, value in zip(norms, before, strict=True)]
    assert len(norms) > 10
    assert all(moved)


@pytest.mark.slow
def test_mixed_precision():
    settings = recipe("tiny-conv", baseline="gumbolt", image_shape=SHAPE)
    model = models.DVAE(settings, X.mean(0), dtype="mixed_bfloat16")
    assert model.features.compute_dtype == "bfloat16"
    found = model.relaxed_bound(X, (0, 1), training=True)
    assert found.bound.dtype == tf.float32
    expected = models.DVAE(settings, X.mean(0)).relaxed_bound(X, (0, 1), training=True).bound
    assert np.mean(found.bound) == pytest.approx(np.mean(expected), abs=0.5)


@pytest.mark.slow
def test_replicas_have_noise_of_their_own():
    model = model_of(num_replicas=2, train_batchsize=2)
    model.compile()
    x = tf.constant(np.repeat(X[:1], 4, 0))
    first, second = (model.replica_update(x, replica).report.log_likelihood for replica in range(2))
    assert float(first) != float(second)
    assert np.isfinite(float(model.update(x).objective))


@pytest.mark.slow
def test_use_of_the_code():
    model = model_of()
    model.measure_log_partition((0, 1))
    measured = evaluation.evaluate(model, X, 20, (0, 1), batch_size=10, num_temperatures=20)
    code = model.encode(X, 1, (0, 1))
    np.testing.assert_allclose(measured.local_kl, np.mean(code.local_kl, (1, 2)), rtol=1e-5)
    assert measured.code_kl == pytest.approx(
        np.mean(code.log_prob - model.prior.binary().log_prob(code.z)), rel=1e-5
    )
    assert 0 <= measured.active_local_units <= 4
    # A posterior that is the prior carries nothing.
    for encoder in model.local.encoders:
        encoder.output_map.kernel.assign(tf.zeros_like(encoder.output_map.kernel))
        encoder.output_map.bias.assign(tf.zeros_like(encoder.output_map.bias))
    use = evaluation.code_use(model, X)
    assert use.local_kl == pytest.approx((0.0, 0.0), abs=1e-5)
    assert not use.active_local.any()


def test_sheets_that_hold_one_half_of_the_code():
    """A decoder and a prior that ignore the other half show nothing of it."""
    model = rough_model("tiny-local", baseline="gumbolt")
    z = model.prior.sample_binary(40, 3, (0, 1))

    def rows(images):
        return images.reshape(-1, plots.sheets.COLUMNS, NUM_PIXELS)

    def differ(held):
        found = {name: rows(each) for name, each in plots.model.local_sheets(model, z, (0, 2)).items()}
        return np.ptp(found[held], axis=1).max() > 1e-6

    kernel = model.decoder.first[0].kernel
    whole = np.array(kernel)
    assert differ("bits_held")
    assert differ("local_held")
    kernel.assign(whole * (np.arange(7) < 6)[:, np.newaxis])
    assert not differ("bits_held")
    kernel.assign(whole * (np.arange(7) == 6)[:, np.newaxis])
    for variable in model.local.priors[0].variables:
        if "kernel" in variable.path:
            variable.assign(tf.zeros_like(variable))
    assert not differ("local_held")


@pytest.mark.slow
def test_a_run_from_training_to_export(tmp_path):
    """Trained, resumed, loaded, measured again, exported: the numbers are the same."""
    settings = recipe("tiny-conv", baseline="gumbolt", **SMALL)
    result = training.train(settings, tiny_images(), tmp_path / "run", verbose=False)
    assert result.num_local_groups == len(result.local_kl) == 2
    assert (result.num_units, result.num_local_units) == (6, 4)
    model = models.load(tmp_path / "run")
    assert model.image_shape == SHAPE
    for name in ("samples", "bits_held", "local_held"):
        assert (tmp_path / "run" / f"{name}.png").stat().st_size > 1000
    again = evaluation.evaluate(model, tiny_images().test, 20, (0, 1), num_temperatures=50)
    assert again.nll == pytest.approx(result.test_nll, abs=0.3)
    found = plots.report_pictures(model, tiny_images())
    assert {"bits_held", "local_held", "usage"} <= set(found)
    path = export.save(model, tmp_path / "export", 20, 3)
    signatures = tf.saved_model.load(str(path)).signatures
    seed, x = tf.constant((3, 4)), tf.constant(X)
    code = model.encode(X, 1, (3, 4))
    encoded = signatures["encode"](x=x, seed=seed)
    np.testing.assert_allclose(encoded["local"], code.local[0], atol=1e-5)
    decoded = signatures["decode"](code=encoded["code"], local=encoded["local"])["probabilities"]
    np.testing.assert_allclose(decoded, model.decode(code.z[0], code.local[0]), atol=1e-5)
    np.testing.assert_allclose(signatures["reconstruct"](x=x, seed=seed)["probabilities"], decoded, atol=1e-5)
    drawn, live = signatures["sample"](num_samples=tf.constant(5), seed=seed), model.sample(5, (3, 4), 3)
    np.testing.assert_allclose(drawn["local"], live.local, atol=1e-5)
    np.testing.assert_allclose(drawn["images"], live.images, atol=1e-5)
    np.testing.assert_allclose(
        signatures["log_likelihood"](x=x, seed=seed)["log_likelihood"],
        model.log_likelihood(X, 20, (3, 4)),
        atol=1e-4,
    )
