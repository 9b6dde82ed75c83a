"""What the figures show, by other means: finite differences, enumeration, single gradients."""

import json

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import priors, rbm, smoothing
from dvae_tf.numerics import Tag, fold_in
from runners import figures
from support import reference
from support.programs import run
from support.tiny import NUM_PIXELS, rough_model


@pytest.mark.parametrize("name", list(figures._curves()))
def test_gradients_of_inverse_cdfs_by_finite_differences(name):
    relaxation = next(iter(figures._curves()[name].values()))
    rho = tf.constant(np.linspace(0.05, 0.95, 8), tf.float64)
    zeta, gradient = figures._inverse_cdf(relaxation, rho)
    step = 1e-5
    above, below = (
        relaxation(tf.fill(rho.shape, tf.constant(np.log(q / (1 - q)), tf.float64))).quantile(rho).numpy()
        for q in (0.5 + step, 0.5 - step)
    )
    np.testing.assert_allclose(gradient, (above - below) / (2 * step), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(zeta, (above + below) / 2, atol=1e-3)


def test_kl_of_the_mean_field_by_enumeration():
    machine = reference.random_machine(4, 3, seed=1, stddev=1.0)
    power = smoothing.Power(5.0)
    relaxation = priors.OverlappingRelaxation(
        priors.BoltzmannMachine(*rbm.as_rbm(*machine.cast(np.float32)), log_partition=0.0), power
    )
    zeta = np.random.default_rng(0).uniform(0.1, 0.9, (6, 7)).astype(np.float32)
    augmented = figures._Augmented(relaxation, tf.constant(zeta))
    log_z = augmented.log_partition((0, 1)).numpy()
    z = reference.binary_states(7)
    ratio = augmented.ratio.numpy().astype(np.float64)
    log_p = z @ ratio.T - reference.energy(machine, z)[:, np.newaxis]
    np.testing.assert_allclose(log_z, np.logaddexp.reduce(log_p), atol=0.05)
    for iterations in (1, 5):
        logits = augmented.mean_field(iterations).numpy().astype(np.float64)
        log_m = z @ logits.T - np.logaddexp(0, logits).sum(1)
        kl = (np.exp(log_m) * (log_m - log_p + np.logaddexp.reduce(log_p))).sum(0)
        found = np.logaddexp.reduce(log_p) - augmented.bound(iterations).numpy()
        np.testing.assert_allclose(found, kl, atol=1e-4)
        assert kl.min() > 1e-4


@pytest.mark.slow
def test_variance_of_the_gradient_by_single_draws(monkeypatch):
    monkeypatch.setattr(figures, "_GRADIENT_DRAWS", 3)
    monkeypatch.setattr(figures, "_GRADIENT_IMAGES", 2)
    model = rough_model("tiny-2")
    x = np.random.default_rng(0).integers(0, 2, (2, NUM_PIXELS)).astype(np.float32)
    found = figures._gradient_variance(model)(x, 50)
    biases = [variable.value for variable in model.posterior.trainable_variables if "bias" in variable.path]
    assert sum(bias.shape[0] for bias in biases) == 6
    seeds = tf.random.split(fold_in((0, 0), Tag.PICTURES, 50), 3)

    @tf.function(jit_compile=True)
    def gradient(image, seed):
        with tf.GradientTape() as tape:
            bound = model.relaxed_bound(image, seed, model.kl_weight(tf.constant(50)))[0]
        return tf.concat(tape.gradient(bound, biases), 0)

    draws = np.array([[gradient(image[np.newaxis], seed) for seed in seeds] for image in x])
    np.testing.assert_allclose(found, draws.var(1, ddof=1).mean(), rtol=1e-4)


@pytest.mark.slow
def test_the_program_writes_pictures_and_numbers(tmp_path):
    run("figures", "--figures=smoothings", f"--out={tmp_path}")
    numbers = json.loads((tmp_path / "smoothings.json").read_text())
    assert (tmp_path / "smoothings.png").stat().st_size > 10_000
    # At q = 1/2 a symmetric smoothing has its middle in the middle.
    middle = numbers["power"]["β = 30"]["zeta"][249]
    assert numbers["rho"][249] == pytest.approx(0.5)
    assert middle == pytest.approx(0.5, abs=1e-3)
    _, err = run("figures", "--figures=nine", f"--out={tmp_path}", code=2)
    assert "figures: expected any of smoothings" in err


@pytest.mark.soak
def test_every_figure_on_the_digits(tmp_path):
    flags = ["--dataset=digits", "--struct=2-layer-small", "--num_train_iter=50", f"--out={tmp_path}"]
    run("figures", *flags, timeout=600)
    assert {file.stem for file in tmp_path.glob("*.json")} == {file.stem for file in tmp_path.glob("*.png")}
    assert {file.stem for file in tmp_path.glob("*.json")} == set(figures.FIGURES)
