"""The examples run, each on little data, and do what their pages say."""

import os
import pathlib
import runpy
import subprocess
import sys

import keras
import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# Arguments that make each example quick, and lines that it prints.
RUNS = {
    "annealer.py": ((100,), ["inverse temperature", "bounds of log Z"]),
    "color_photographs.py": (
        (40, 32),
        ["312 / 104 / 104 patches of (16, 16, 3)", "pixels without a code: ", "binary code: "],
    ),
    "joint_distribution.py": ((500,), ["KL of the bits: 5.9", "KL of the relaxed pair, beta = 100"]),
    "keras_model.py": ((2,), ["15 trainable variables", "log Z = ", "predictions differ by 0e+00 at most"]),
    "missing_pixels.py": ((1, 2, 500), ["binary code: ", "mixture of ", "difference: "]),
    "own_networks.py": ((20, 48), ["crops of (48, 32)", "test NLL "]),
    "rbm_from_file.py": (("machine.npz", 50), ["log Z = ", "R-hat", "with half of them given: [0. "]),
    "rbm_on_pixels.py": ((60,), ["test log-likelihood"]),
}


def load(name):
    """The names that an example defines."""
    return runpy.run_path(str(EXAMPLES / name), run_name=f"examples.{name.removesuffix('.py')}")


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


LONG = (
    "annealer.py",
    "color_photographs.py",
    "keras_model.py",
    "missing_pixels.py",
    "own_networks.py",
    "rbm_on_pixels.py",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in RUNS]
)
def test_example(name, capfd):
    arguments, lines = RUNS[name]
    load(name)["main"](*arguments)
    out = capfd.readouterr().out  # also of processes that the example starts
    for line in lines:
        assert line in out


@pytest.mark.parametrize("name", RUNS)
def test_example_is_short(name):
    assert len((EXAMPLES / name).read_text().splitlines()) < 100


@pytest.mark.soak
def test_keras_model_continues_in_another_process():
    """A program that imports the class loads the model as it was: it predicts and trains on the same."""
    example = load("keras_model.py")
    images = np.random.default_rng(0).integers(2, size=(20, 8, 8, 1)).astype(np.float32)
    model = example["BinaryAutoencoder"](bits=7)
    model.compile(keras.optimizers.Adam(3e-3), loss=example["pixel_loss"])
    untrained = model.predict(images, verbose=0)
    model.fit(images, images, 10, verbose=0)
    model.save("model.keras")
    np.save("images.npy", images)
    code = (
        "import keras, keras_model, numpy as np\n"
        "images = np.load('images.npy')\n"
        "model = keras.saving.load_model('model.keras')\n"
        "before = model.predict(images, verbose=0)\n"
        "model.fit(images, images, 10, shuffle=False, verbose=0)\n"
        "np.savez('loaded.npz', before=before, after=model.predict(images, verbose=0))\n"
    )
    path = os.pathsep.join([str(EXAMPLES), *sys.path])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": path})
    loaded = np.load("loaded.npz")
    trained = model.predict(images, verbose=0)
    model.fit(images, images, 10, shuffle=False, verbose=0)
    np.testing.assert_allclose(loaded["before"], trained, atol=1e-5)
    np.testing.assert_allclose(loaded["after"], model.predict(images, verbose=0), atol=1e-4)
    # Predictions depend on what was saved.
    assert np.abs(trained - untrained).max() > 1e-2


def test_missing_pixels_have_no_likelihood():
    log_odds, seen = np.float32([-2, 0.5, 3, 0.1]), np.float32([1, -1, 0, 0])
    log_prob = load("missing_pixels.py")["SeenPixels"](log_odds, dtype=np.float32).log_prob(seen)
    expected = tfd.Bernoulli(log_odds[:2]).log_prob([1, 0])
    np.testing.assert_allclose(log_prob, [*expected, 0, 0], rtol=1e-6)


def test_mixture_predicts_missing_pixels():
    """Of two kinds of images, whose pixels are independent given the kind: by Bayes' rule."""
    mixture = load("missing_pixels.py")["mixture"]
    rng = np.random.default_rng(0)
    means = np.where(np.arange(16) < 8, [[0.9], [0.1]], [[0.1], [0.9]])
    shares = np.array([0.3, 0.7])
    kinds = rng.choice(2, 4_000, p=shares)
    whole = rng.random((4_000, 16)) < means[kinds]
    is_seen = rng.random(whole.shape) < 0.2
    likelihood = np.where(is_seen, np.where(whole, means[:, None], 1 - means[:, None]), 1).prod(-1)
    posterior = shares[:, None] * likelihood / (shares @ likelihood)
    seen, exact = np.where(is_seen, 2.0 * whole - 1, 0), posterior.T @ means
    # The standard errors of a component's means, of 240 or of 560 pixels, are 0.019 and 0.013.
    assert np.abs(mixture(seen, 2, 0)(seen) - exact).mean() < 0.03
    # One component predicts the same for all images.
    assert np.abs(mixture(seen, 1, 0)(seen) - exact).mean() > 0.1


@pytest.mark.soak
def test_binary_code_fills_in_pixels_better_than_the_best_mixture():
    """The first of the five seeds of the page: -0.0397 ± 0.0006 nats, -2.01 ± 0.04 points."""
    [[nats, points]] = load("missing_pixels.py")["main"](seeds=1)
    # Four standard deviations of a seed, each the square root of five times the standard error of the mean.
    assert abs(nats + 0.0397) < 4 * 5**0.5 * 0.0006
    assert abs(points + 2.01) < 4 * 5**0.5 * 0.04
