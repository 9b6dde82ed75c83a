"""Every baseline: it is made of the parts that its row names, takes steps, and is measured."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from tensorflow_probability import distributions as tfd

from dvae_tf import config, estimators, kl, models, objectives, priors, smoothing
from dvae_tf.models.systems import BOUNDS, ESTIMATORS, KL_TERMS, PRIORS, RELAXATIONS
from support.tiny import NUM_PIXELS, all_bits, exact_log_likelihood, recipe, rough_model, struct_of

each_baseline = pytest.mark.parametrize("baseline", config.BASELINES)
PARTS = {
    "dvae_spike_exp": (smoothing.SpikeExponential, priors.BoltzmannMachine, kl.dvae),
    "dvaepp_exp": (smoothing.Exponential, priors.BoltzmannMachine, kl.joint),
    "dvaepp_logistic": (smoothing.Logistic, priors.BoltzmannMachine, kl.joint),
    "dvaepp_power": (smoothing.Power, priors.BoltzmannMachine, kl.joint),
    "dvaepp_directed": (smoothing.Exponential, priors.DirectedBernoulli, kl.bernoulli),
    "dvaes_gi": (smoothing.ShiftedGaussian, priors.GaussianIntegralRelaxation, kl.sampled),
    "dvaes_gauss": (smoothing.Gaussian, priors.OverlappingRelaxation, kl.sampled),
    "dvaes_exp": (smoothing.Exponential, priors.OverlappingRelaxation, kl.sampled),
    "dvaes_unexp": (smoothing.UniformExponential, priors.OverlappingRelaxation, kl.sampled),
    "dvaes_power": (smoothing.Power, priors.OverlappingRelaxation, kl.sampled),
    "gumbolt": (smoothing.Concrete, priors.GumBolt, kl.proxy),
    "gumbolt_nw": (smoothing.Concrete, priors.GumBolt, kl.proxy),
    "concrete": (smoothing.Concrete, priors.DirectedBernoulli, kl.sampled),
    "gumbel_softmax": (smoothing.Concrete, priors.DirectedBernoulli, kl.bernoulli),
    "gaussian": (smoothing.Normal, tfd.MultivariateNormalDiag, kl.sampled),
    "rloo": (None, priors.BoltzmannMachine, kl.sampled),
    "vimco": (None, priors.BoltzmannMachine, kl.sampled),
    "disarm": (None, priors.BoltzmannMachine, kl.sampled),
    "rebar": (estimators.ControlVariate, priors.BoltzmannMachine, kl.sampled),
}
AVERAGED = {
    "dvae_spike_exp",
    "dvaepp_exp",
    "dvaepp_logistic",
    "dvaepp_power",
    "dvaepp_directed",
    "gumbel_softmax",
    "rloo",
    "disarm",
    "rebar",
}


def test_every_name_of_the_table_stands_for_something_and_is_used():
    rows = config.SYSTEMS.values()
    assert {row.relaxation for row in rows} - {None} == set(RELAXATIONS)
    assert {row.prior for row in rows} == set(PRIORS)
    assert {row.kl for row in rows} == set(KL_TERMS)
    assert {row.bound for row in rows} == set(BOUNDS)
    assert {row.estimator for row in rows} | {"doubly_reparameterized"} == set(ESTIMATORS)
    assert set(config.ESTIMATORS) == set(ESTIMATORS)


@each_baseline
def test_parts_of_a_baseline(baseline):
    model = models.DVAE(recipe(struct_of(baseline), k=2, baseline=baseline), np.full(NUM_PIXELS, 0.4))
    relaxation, prior, term = PARTS[baseline]
    found = {type(each) for each in model.posterior.relaxations}
    assert found == ({relaxation} if relaxation else set())
    assert type(model.prior()) is prior
    assert model.kl is term
    bound = objectives.elbo if baseline in AVERAGED else objectives.importance_weighted_bound
    assert model.bound is bound
    trained = {variable.path.split("/")[-1] for variable in model.prior.trainable_variables}
    if prior is priors.DirectedBernoulli:
        assert "first_logits" in trained
        assert len(model.prior.trainable_variables) > 1
    elif baseline == "gaussian":
        assert trained == set()
    else:
        assert trained == {"left_bias", "right_bias"} | (
            {"weights"} - ({"weights"} if "nw" in baseline else set())
        )


@each_baseline
def test_a_step_moves_every_trainable_variable(baseline):
    model = rough_model(struct_of(baseline), k=2, baseline=baseline)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    before = {variable.path: np.array(variable) for variable in model.trainable_variables}
    x = tf.constant(all_bits(NUM_PIXELS)[::3], tf.float32)
    # The warm-up starts at 0, where the prior learns nothing.
    model.optimizer.iterations.assign(50)
    report = model.update(x)
    assert np.isfinite([float(each) for each in report]).all()
    still = [v.path for v in model.trainable_variables if np.array_equal(before[v.path], v)]
    assert still == []


# Variables that keep their initial values in a training: of the data, of chains that weigh the same, and
# couplings that are not trained.
_CONSTANT = {"mean_x", "sampler_log_weights"}
_CONSTANT_OF = {"gumbolt_nw": {"weights"}}


def _still_after_some_steps(struct, baseline):
    """Names of variables of all kinds that three steps and a measurement of log Z leave as they were."""
    model = models.DVAE(recipe(struct, k=2, baseline=baseline), np.full(NUM_PIXELS, 0.4))
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    before = [np.array(variable) for variable in model.variables]
    x = tf.constant(all_bits(NUM_PIXELS)[::3], tf.float32)
    model.optimizer.iterations.assign(50)
    for _ in range(3):
        model.update(x)
    model.measure_log_partition((0, 1))
    unmoved = [
        variable
        for variable, value in zip(model.variables, before, strict=True)
        if np.array_equal(value, variable)
    ]
    return {variable.path.split("/")[-1] for variable in unmoved}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("baseline", "struct"),
    [(name, struct) for name in config.BASELINES if name != "rebar" for struct in ("tiny-2", "tiny-4")]
    + [("rebar", "tiny")],
)
def test_no_variable_of_any_kind_stays_at_its_start(baseline, struct):
    """Batch-norm statistics, chains and log Z move as the parameters do."""
    assert _still_after_some_steps(struct, baseline) <= _CONSTANT | _CONSTANT_OF.get(baseline, set())


def test_batch_norms_of_a_directed_prior_are_trained():
    assert _still_after_some_steps("tiny-2", "gumbel_softmax") <= _CONSTANT


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [name for name in config.BASELINES if name != "gaussian"])
def test_likelihood_of_the_discrete_model(baseline):
    """Evaluation knows nothing of the relaxation: against enumeration, log Z by its own means."""
    model = rough_model(struct_of(baseline), k=2, baseline=baseline)
    found = model.measure_log_partition((0, 1))
    assert found.standard_error == 0
    x = all_bits(NUM_PIXELS)[::9].astype(np.float32)
    estimate = model.estimate_likelihood(x, 3_000, (0, 2))
    exact = exact_log_likelihood(model, x)
    error = np.sqrt(np.mean(estimate.variance) / len(x))
    assert abs(np.mean(estimate.log_likelihood) - exact.mean()) < 5 * error + 0.01


def gaussian_log_likelihood(model, x, num_nodes=40):
    """log p(x) of a Gaussian code of two units, by quadrature in float64."""
    points, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    code = np.stack(np.meshgrid(points, points), -1).reshape(-1, 2)
    log_p = np.log(np.outer(weights, weights).ravel() / (2 * np.pi))
    logits = special.logit(np.asarray(model.decode(code.astype(np.float32)), np.float64))
    return special.logsumexp(x @ logits.T - np.logaddexp(0, logits).sum(1) + log_p, axis=1)


def test_likelihood_of_a_gaussian_code():
    """The bound rises to the likelihood by quadrature; there is no log Z."""
    model = rough_model("tiny-gauss", baseline="gaussian")
    # A posterior that is nearly the prior keeps the importance weights moderate.
    output = model.posterior.encoders[0].later[-1]
    output.kernel.assign(0.2 * output.kernel)
    output.bias.assign(tf.zeros_like(output.bias))
    x = all_bits(NUM_PIXELS)[::9].astype(np.float32)
    exact = gaussian_log_likelihood(model, x).mean()
    one = np.mean([model.log_likelihood(x, 1, (1, seed)) for seed in range(50)])
    many = [np.mean(model.log_likelihood(x, 3_000, (2, seed))) for seed in range(4)]
    assert one < exact - 0.01
    assert np.mean(many) == pytest.approx(exact, abs=float(4 * np.std(many)) + 0.005)
    # One sample of training is the same bound.
    trained = np.mean([model.relaxed_bound(x, (3, seed)).bound for seed in range(50)])
    assert trained == pytest.approx(one, abs=0.1)
    assert model.measure_log_partition((0, 1)).method == "normalized"


def test_a_gaussian_code_has_no_bits():
    model = rough_model("tiny-gauss", baseline="gaussian", k=2)
    x = all_bits(NUM_PIXELS)[::9].astype(np.float32)
    code = model.encode(x, 3, (0, 1))
    assert len(np.unique(code.z)) > 10
    assert model.sample(5, (0, 1)).z.shape == (5, 2)
    with pytest.raises(ValueError, match="estimator: expected one of relaxed codes for gaussian"):
        model.relaxed_bound(x, (0, 1), estimator="rloo")
