"""Relaxed gradients are biased by construction, those of the bits are not: against two exact gradients."""

import itertools
import json

import numpy as np
import pytest

from runners import exact_bias, gradient_study, gradients
from runners import exact_model as exact
from support.programs import run

# --------------------------------------------------------------------------- biases without noise


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", exact_bias.SERIES)
def test_bias_goes_to_0(name, groups):
    sharpnesses, series = exact_bias.SERIES[name]
    biases = [series(sharpness, groups) for sharpness in sharpnesses]
    # Each step is twice as sharp.
    for blunt, sharp in itertools.pairwise(biases):
        assert sharp < 0.75 * blunt
    assert biases[-1] < 0.2 * biases[0]


@pytest.mark.slow
def test_bias_of_a_wrong_objective_stays():
    """Half of the KL term: not what it stands for, however sharp."""
    blunt, sharp = (
        exact_bias.bias(
            exact_bias.parameters(1),
            exact.concrete(temperature, 240),
            lambda moved, grid: 0.5 * exact.gumbolt(moved, grid),
            lambda moved: exact.discrete_elbo(moved, exact_bias.X, 1),
            1,
        )
        for temperature in (1.0, 0.125)
    )
    assert sharp > 0.5 * blunt
    assert sharp > 0.1


# --------------------------------------------------------------------------- biases of means


def _moments(draws):
    return gradients.Moments(draws.mean(0), draws.var(0, ddof=1), len(draws))


def test_errors_of_the_means_are_not_bias():
    """Over 400 pairs of means of noisy gradients, [B, D] = [3, 50]."""
    rng = np.random.default_rng(1)

    def found(true):
        """Biases of means over 20 draws from means over 80."""
        for _ in range(400):
            one, other = rng.normal(true, 5, (20, 3, 50)), rng.normal(0, 5, (80, 3, 50))
            yield gradient_study.bias(_moments(one), _moments(other))

    for true in (0.0, 1.0):
        rows = list(found(true))
        squares = np.array([row["bias"] ** 2 for row in rows])
        size = true**2 * 50
        if true:
            assert abs(squares.mean() - size) < 4 * squares.std() / np.sqrt(len(squares))
        # As many of a normal distribution lie below two errors.
        covered = np.mean([row["bias_at_most"] ** 2 >= size for row in rows])
        assert 0.95 < covered <= 1
        # The errors alone would have this bias.
        assert np.sqrt(squares.mean()) < true * np.sqrt(50) + 0.5 * np.sqrt(50 * (25 / 20 + 25 / 80))


def test_norm_is_that_of_an_image():
    assert gradient_study.norm(np.array([[3.0, 4.0], [0.0, 5.0]])) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("baseline", "groups", "expected"),
    [("gumbolt", 2, (4, 4)), ("disarm", 1, (4, 4)), ("disarm", 2, (2, 3)), ("rebar", 1, (1, 3))],
)
def test_evaluations_stay_within_the_budget(baseline, groups, expected):
    assert gradients.Method("", "", baseline).samples(groups) == expected


# --------------------------------------------------------------------------- the library's gradients


def _measured(label, groups, bound="elbo", num_draws=200_000):
    method = next(each for each in gradients.METHODS if (each.label, each.bound) == (label, bound))
    weights = gradients.exact_weights(exact_bias.parameters(groups), groups)
    x = exact_bias.X[np.newaxis].astype(np.float32)
    return gradients.Gradient(weights, method, x).moments(num_draws, (3, 4))


def _score(found, expected):
    """The largest z-score of the mean."""
    error = np.sqrt(found.variance / found.num_draws) + 1e-6
    return np.abs((found.mean - expected) / error).max()


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("label", "bound"), [("RLOO", "elbo"), ("DisARM", "elbo"), ("VIMCO", "importance_weighted")]
)
def test_gradients_of_the_bits_are_those_of_enumeration(label, bound, groups):
    expected = gradient_study.exactly(exact_bias.parameters(groups), groups, bound).mean
    found = _measured(label, groups, bound)
    assert _score(found, expected) < 4.5
    assert gradient_study.bias(found, gradients.Moments(expected, np.zeros_like(expected), 1))["bias"] < 0.02


@pytest.mark.slow
def test_rebar_is_unbiased_and_its_control_variate_has_moved():
    expected = gradient_study.exactly(exact_bias.parameters(1), 1, "elbo").mean
    assert _score(_measured("REBAR", 1), expected) < 4.5


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_of_a_relaxation_are_those_of_quadrature(groups):
    """Their bias as well: the mean is not the gradient of the bits."""
    parameters = exact_bias.parameters(groups)
    biases = {
        name: value for name, value in parameters.items() if name in ("encoder_0/bias", "encoder_1/bias")
    }

    def objective(moved):
        unit = exact.concrete(1 / 4, 240)
        return exact.elbo(parameters | moved, exact_bias.X, unit, exact.gumbolt, groups)

    slopes = exact.gradient(objective, biases)
    expected = np.concatenate([slopes[f"encoder_{group}/bias"] for group in range(groups)])[np.newaxis]
    found = _measured("GumBolt, τ = 1/4", groups)
    assert _score(found, expected) < 4.5
    if groups == 1:
        assert _score(found, gradient_study.exactly(parameters, groups, "elbo").mean) > 10


# --------------------------------------------------------------------------- the program


@pytest.mark.slow
def test_a_tiny_study_of_a_trained_model(tmp_path):
    out = tmp_path / "study.json"
    out.write_text(json.dumps({"other": {"settings": {}}}))
    printed, _ = run(
        "gradient_study", "--model=digits", "--num_images=2", "--num_draws=500", f"--out={out}", timeout=600
    )
    assert "REBAR" in printed
    known = json.loads(out.read_text())
    assert set(known) == {"other", "digits"}
    assert known["digits"]["versions"]["dvae_tf"]
    setting = known["digits"]["settings"]["digits"]
    assert {row["label"] for row in setting["gradients"]} == {each.label for each in gradients.METHODS}
    for row in setting["gradients"]:
        assert np.isfinite([row["noise"], row["bias"], row["relative_cost"]]).all()
        assert row["bias"] <= row["bias_at_most"]
        assert row["evaluations"] <= gradients.BUDGET
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_bad_use(tmp_path):
    _, err = run("gradient_study", "--num_draws=1", code=2)
    assert "num_draws: expected at least 2, got 1" in err
    _, err = run("gradient_study", f"--model={tmp_path / 'none'}", code=2)
    assert str(tmp_path / "none") in err
