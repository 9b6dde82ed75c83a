"""The SavedModel in a process that knows TensorFlow alone gives what the live model gives."""

import json
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, export, models, storage
from support.tiny import NUM_PIXELS, rough_model, struct_of

# Every kind of posterior, prior and relaxation.
BASELINES = (
    "dvaes_power",
    "dvaes_gi",
    "dvaepp_exp",
    "gumbolt",
    "concrete",
    "gumbel_softmax",
    "vimco",
    "rebar",
)
SAMPLERS = ("pa", "pt")
SEED = (3, 4)

# Runs where neither the library nor TFP can be imported.
CLEAN = """
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dvae_tf", "tensorflow_probability"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Barred())
import numpy as np
import tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
given = np.load(sys.argv[2])
x, code, seed = (tf.constant(given[name]) for name in ("x", "code", "seed"))
calls = {
    "encode": {"x": x, "seed": seed},
    "decode": {"code": code},
    "sample": {"num_samples": tf.constant(int(given["num_samples"])), "seed": seed},
    "log_likelihood": {"x": x, "seed": seed},
    "reconstruct": {"x": x, "seed": seed},
}
found = {
    f"{name}/{key}": value.numpy()
    for name, call in calls.items()
    for key, value in signatures[name](**call).items()
}
assert not any(name.startswith(("dvae_tf", "tensorflow_probability")) for name in sys.modules)
np.savez(sys.argv[3], **found)
"""


def live(model, x, code, num_samples, num_importance_samples, num_sweeps):
    """The same by the model itself."""
    encoded = model.encode(x, 1, SEED)
    drawn = model.sample(num_samples, SEED, num_sweeps)
    return {
        "encode/probabilities": tf.math.sigmoid(encoded.logits[0]),
        "encode/code": encoded.z[0],
        "decode/probabilities": model.decode(code),
        "sample/images": drawn.images,
        "sample/code": drawn.z,
        "log_likelihood/log_likelihood": model.log_likelihood(x, num_importance_samples, SEED),
        "reconstruct/probabilities": model.decode(encoded.z[0]),
    }


def in_a_clean_process(saved, tmp_path, **given):
    np.savez(tmp_path / "given.npz", seed=np.array(SEED, np.int32), **given)
    script = tmp_path / "clean.py"
    script.write_text(textwrap.dedent(CLEAN))
    files = [str(path) for path in (saved, tmp_path / "given.npz", tmp_path / "found.npz")]
    done = subprocess.run(
        [sys.executable, "-I", str(script), *files], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(tmp_path / "found.npz")


def some_input(model, batch, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (batch, NUM_PIXELS)).astype(np.float32)
    return x, rng.integers(0, 2, (batch, model.recipe.structure.num_units)).astype(np.float32)


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        if name.endswith("code"):
            np.testing.assert_array_equal(found[name], value, name)
            assert set(np.unique(value)) == {0, 1}
        else:
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5, err_msg=name)


def trained_model(baseline, sampler="pcd"):
    """Weights, chains and log Z far from their start."""
    struct = struct_of(baseline) if baseline != "gumbel_softmax" else "tiny"
    k = config.ESTIMATORS[config.SYSTEMS[baseline].estimator].smallest_k
    model = rough_model(struct, k=k, baseline=baseline, sampler=sampler)
    model.compile()
    for _ in range(3):
        model.update(tf.constant(some_input(model, 20)[0]))
    model.measure_log_partition((0, 1))
    return model


@pytest.mark.parametrize(
    ("baseline", "sampler"),
    [
        pytest.param(*case, marks=pytest.mark.slow)
        for case in [(name, "pcd") for name in BASELINES] + [("gumbolt", name) for name in SAMPLERS]
    ],
)
def test_a_clean_process_gives_what_the_live_model_gives(baseline, sampler, tmp_path):
    model = trained_model(baseline, sampler)
    saved = export.save(model, tmp_path / "saved", num_importance_samples=50, num_sweeps=7)
    for batch in (5, 1):
        x, code = some_input(model, batch)
        found = in_a_clean_process(saved, tmp_path, x=x, code=code, num_samples=batch + 20)
        assert_same(found, live(model, x, code, batch + 20, 50, 7))


@pytest.mark.slow
def test_weights_from_before_the_export_give_the_same(tmp_path):
    model = trained_model("dvaes_power")
    storage.write_json(tmp_path / "config.json", model.recipe.to_json())
    models.save_weights(model, tmp_path / "weights.npz")
    saved = export.save(model, tmp_path / "saved", 50, 7)
    x, code = some_input(model, 4)
    expected = live(models.load(tmp_path), x, code, 3, 50, 7)
    signatures = tf.saved_model.load(str(saved)).signatures
    seed = tf.constant(SEED)
    found = {
        f"{name}/{key}": value
        for name, call in {
            "encode": {"x": x, "seed": seed},
            "decode": {"code": code},
            "sample": {"num_samples": tf.constant(3), "seed": seed},
            "log_likelihood": {"x": x, "seed": seed},
            "reconstruct": {"x": x, "seed": seed},
        }.items()
        for key, value in signatures[name](**{k: tf.constant(v) for k, v in call.items()}).items()
    }
    assert_same(found, expected)


@pytest.mark.slow
def test_many_images_share_blocks_as_in_the_live_model(tmp_path, monkeypatch):
    """K = 50 of 30 images in blocks of 3 samples, as where memory is short."""
    monkeypatch.setattr(models.blocks, "_ROWS", 100)
    model = trained_model("dvaes_power")
    signatures = tf.saved_model.load(str(export.save(model, tmp_path / "saved", 50, 7))).signatures
    x, _ = some_input(model, 30)
    found = signatures["log_likelihood"](x=tf.constant(x), seed=tf.constant(SEED))["log_likelihood"]
    np.testing.assert_allclose(found, model.log_likelihood(x, 50, SEED), atol=1e-5)


def test_what_an_export_says(tmp_path):
    model = trained_model("dvaes_power")
    saved = export.save(model, tmp_path / "deep" / "saved", 50, 7)
    described = json.loads((saved / export.DESCRIPTION_FILE).read_text())
    assert described["recipe"] == model.recipe.to_json()
    assert (described["num_importance_samples"], described["num_sweeps"]) == (50, 7)
    assert described["log_partition"] == pytest.approx(float(model.prior.log_partition))
    assert export.signatures(saved) == {
        "encode": (
            "seed int32 [2], x float32 [any, 6]",
            "code float32 [any, 6], probabilities float32 [any, 6]",
        ),
        "decode": ("code float32 [any, 6]", "probabilities float32 [any, 6]"),
        "sample": (
            "num_samples int32 [], seed int32 [2]",
            "code float32 [any, 6], images float32 [any, 6]",
        ),
        "log_likelihood": ("seed int32 [2], x float32 [any, 6]", "log_likelihood float32 [any]"),
        "reconstruct": ("seed int32 [2], x float32 [any, 6]", "probabilities float32 [any, 6]"),
    }


@pytest.mark.slow
def test_the_command_line_of_tensorflow_reads_it(tmp_path):
    model = trained_model("dvaes_power")
    saved = export.save(model, tmp_path / "saved", 50, 7)
    _, code = some_input(model, 2)
    np.save(tmp_path / "code.npy", code)
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    flags = ["--dir", str(saved), "--tag_set", "serve", "--signature_def", "decode"]
    subprocess.run(
        [tool, "run", *flags, "--inputs", f"code={tmp_path}/code.npy", "--outdir", str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=240,
    )
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), model.decode(code), atol=1e-5)


def test_what_is_refused(tmp_path, monkeypatch):
    model = trained_model("dvaes_power")
    with pytest.raises(ValueError, match="num_importance_samples: expected at least 1, got 0"):
        export.save(model, tmp_path / "saved", num_importance_samples=0)
    with pytest.raises(FileExistsError, match=f"path: expected a new folder, got {tmp_path}"):
        export.save(model, tmp_path)
    monkeypatch.setattr(storage, "write_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export.save(model, tmp_path / "saved")
    assert not list(tmp_path.iterdir())
