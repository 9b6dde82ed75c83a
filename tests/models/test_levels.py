"""Mixtures of discretized logistics, against differences of cumulative distributions in float64."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from dvae_tf.models.levels import DiscretizedLogisticMixture

LEVELS = np.arange(256) / 255
INNER_EDGES = LEVELS[:-1] + 0.5 / 255
# Log weights, locations and scales of the components: wide; narrower than a level and centered on one; at the
# edges; beyond them.
CASES = {
    "wide": ([0.3, -1.0, 0.5], [0.2, 0.5, 0.9], [0.1, 0.3, 0.05]),
    "narrow": ([0.0, 2.0, 1.0], [20 / 255, 0.5, 0.81], [5e-4, 1e-3, 2e-3]),
    "edges": ([0.0, 0.0, -3.0], [0.0, 1.0, 0.5], [0.01, 0.02, 3.0]),
    "beyond": ([1.0, 0.0, 0.0], [-3.0, 1.4, 4.0], [0.05, 0.2, 0.9]),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def of_one_logistic(loc, scale, first=-np.inf, last=np.inf):
    """Probabilities of the levels, [256], float64; `first` and `last` are the outer edges."""
    edges = np.concatenate([[first], INNER_EDGES, [last]])
    # The upper half by survival functions, which are precise there.
    below, above = scipy.stats.logistic.cdf(edges, loc, scale), scipy.stats.logistic.sf(edges, loc, scale)
    return np.where(edges[1:] < loc, np.diff(below), -np.diff(above))


def of_mixture(logits, loc, scale, **outer):
    weights = scipy.special.softmax(logits)
    return sum(w * of_one_logistic(m, s, **outer) for w, m, s in zip(weights, loc, scale, strict=True))


def one_pixel(case, dtype=np.float64):
    """The distribution of a single pixel of one channel."""
    logits, loc, scale = (np.array(each, dtype) for each in case)
    return DiscretizedLogisticMixture(logits[None], loc[None, None], scale[None, None])


def log_probs(case, dtype=np.float64):
    return one_pixel(case, dtype).log_prob(LEVELS[:, None].astype(dtype)).numpy().astype(np.float64)


def check_probabilities(found, expected):
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-12)
    likely = expected > 1e-280
    np.testing.assert_allclose(found[likely], np.log(expected[likely]), rtol=1e-9, atol=1e-9)


@each_case
def test_probabilities_of_the_levels(case):
    check_probabilities(log_probs(case), of_mixture(*case))


@each_case
def test_the_check_catches_edges_without_tails(case):
    """Negative control: the lowest and the highest level as wide as the others."""
    without = of_mixture(*case, first=-0.5 / 255, last=1 + 0.5 / 255)
    with pytest.raises(AssertionError):
        check_probabilities(np.log(np.maximum(without, 1e-300)), of_mixture(*case))
    with pytest.raises(AssertionError):
        check_probabilities(log_probs(case), without)


@each_case
def test_single_precision(case):
    """A level is known to float32's rounding, relative to the scale."""
    found, expected = log_probs(case, np.float32), of_mixture(*case)
    likely = expected > 1e-30
    tolerance = 1e-5 + 4e-7 / min(case[2])
    np.testing.assert_allclose(found[likely], np.log(expected[likely]), rtol=1e-5, atol=tolerance)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("loc", [-1e4, -3.0, 0.0, 0.5, 1.0, 1e4])
@pytest.mark.parametrize("scale", [np.exp(-7.0), 0.1, np.exp(7.0)])
def test_finite_with_gradients_far_from_the_data(loc, scale):
    x = tf.constant([[0.0], [1 / 255], [0.5], [254 / 255], [1.0]])
    parameters = [
        tf.constant([[0.0, -80.0]]),
        tf.fill([1, 1, 2], np.float32(loc)),
        tf.fill([1, 1, 2], np.float32(scale)),
    ]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_prob = DiscretizedLogisticMixture(*parameters).log_prob(x)
    for value in (log_prob, *tape.gradient(log_prob, parameters)):
        assert np.isfinite(value).all()


def three_channels(dtype=np.float64):
    """Two images of two pixels in color, of two components."""
    rng = np.random.default_rng(0)
    logits, loc, slopes = (
        rng.normal(size=(2, 2, 2)),
        rng.uniform(0, 1, (2, 2, 3, 2)),
        rng.normal(size=(2, 2, 3, 2)),
    )
    parameters = logits, loc, rng.uniform(0.02, 0.2, (2, 2, 3, 2)), slopes
    return [each.astype(dtype) for each in parameters]


def location(loc, slopes, levels, channel):
    """Of a channel of one component, given the levels of those before."""
    rows = {0: [], 1: [0], 2: [1, 2]}[channel]
    return loc[channel] + sum(slopes[row] * (levels[b] / 255 - 0.5) for b, row in enumerate(rows))


def test_channels_share_the_component_of_their_pixel():
    logits, loc, scale, slopes = three_channels()
    levels = np.random.default_rng(1).integers(0, 256, (2, 2, 3))
    expected = np.zeros(2)
    for image in range(2):
        for pixel in range(2):
            weights = scipy.special.softmax(logits[image, pixel])
            here = levels[image, pixel]
            of_components = [
                np.prod(
                    [
                        of_one_logistic(
                            location(
                                loc[image, pixel, :, m], slopes[image, pixel, :, m], levels[image, pixel], c
                            ),
                            scale[image, pixel, c, m],
                        )[level]
                        for c, level in enumerate(here)
                    ]
                )
                for m in range(2)
            ]
            expected[image] += np.log(weights @ of_components)
    distribution = DiscretizedLogisticMixture(logits, loc, scale, slopes)
    assert (distribution.batch_shape, distribution.event_shape) == ((2,), (6,))
    x = levels.reshape(2, 6) / 255
    np.testing.assert_allclose(distribution.log_prob(x), expected, rtol=1e-10)
    # Samples of the decoder stand before the batch.
    several = DiscretizedLogisticMixture(*(np.stack([each] * 4) for each in (logits, loc, scale, slopes)))
    np.testing.assert_allclose(several.log_prob(x), np.tile(expected, (4, 1)), rtol=1e-10)


def chi_square(counts, probabilities, num_bins=30):
    """p-value of counts [256], by bins of about equal probability."""
    bins = np.minimum((np.cumsum(probabilities) * num_bins).astype(int), num_bins - 1)
    observed, expected = (np.bincount(bins, each) for each in (counts, probabilities * counts.sum()))
    seen = expected > 5
    rest = observed[~seen].sum(), expected[~seen].sum()
    observed, expected = np.append(observed[seen], rest[0]), np.append(expected[seen], max(rest[1], 1e-9))
    return scipy.stats.chisquare(observed, expected, sum_check=False).pvalue


@each_case
def test_samples(case):
    drawn = one_pixel(case, np.float32).sample(20_000, seed=(1, 2)).numpy()
    assert drawn.shape == (20_000, 1)
    levels = np.rint(drawn * 255)
    assert np.abs(drawn * 255 - levels).max() < 1e-3
    probabilities = of_mixture(*case)
    counts = np.bincount(levels.ravel().astype(int), minlength=256)
    assert (counts[probabilities < 1e-9] == 0).all()
    assert chi_square(counts, probabilities) > 1e-3
    mean = (probabilities * LEVELS).sum()
    error = np.sqrt((probabilities * (LEVELS - mean) ** 2).sum() / 20_000)
    assert abs(drawn.mean() - mean) < 4 * error + 1e-6
    assert float(one_pixel(case).mean()[0]) == pytest.approx(mean, abs=1 / 510)


# Weights, locations, scales and slopes of a pixel of two channels.
TWO = [
    np.array(each)
    for each in ([[0.0, 0.5]], [[[0.3, 0.8], [0.7, 0.1]]], [[[0.1, 0.2], [0.2, 0.1]]], [[[-0.5, 0.8]]])
]


@pytest.fixture(scope="module")
def joint():
    """Probabilities [256, 256] of the levels of two channels, the second given the first."""
    logits, loc, scale, slopes = (each[0] for each in TWO)
    found = np.zeros((256, 256))
    for m, weight in enumerate(scipy.special.softmax(logits)):
        first = of_one_logistic(loc[0][m], scale[0][m])
        shifted = loc[1][m] + slopes[0][m] * (LEVELS - 0.5)
        found += weight * first[:, None] * [of_one_logistic(each, scale[1][m]) for each in shifted]
    return found


def test_probabilities_of_two_channels(joint):
    pairs = np.stack(np.meshgrid(LEVELS, LEVELS, indexing="ij"), -1).reshape(-1, 2)
    check_probabilities(DiscretizedLogisticMixture(*TWO).log_prob(pairs).numpy(), joint.ravel())
    without = DiscretizedLogisticMixture(*TWO[:3]).log_prob(pairs).numpy()
    with pytest.raises(AssertionError):
        check_probabilities(without, joint.ravel())


def test_samples_of_two_channels(joint):
    drawn = (
        DiscretizedLogisticMixture(*(each.astype(np.float32) for each in TWO))
        .sample(20_000, seed=(3, 4))
        .numpy()
    )
    counts = np.zeros((256, 256))
    np.add.at(counts, tuple(np.rint(drawn * 255).astype(int).T), 1)

    def p_value(probabilities):
        bins = (
            each.reshape(8, 32, 8, 32).sum((1, 3)).ravel() for each in (counts, probabilities * counts.sum())
        )
        observed, expected = bins
        assert expected.min() > 5
        return scipy.stats.chisquare(observed, expected, sum_check=False).pvalue

    assert p_value(joint) > 1e-3
    margins = joint.sum(1), joint.sum(0)
    assert p_value(np.outer(*margins)) < 1e-12
    # A batch that shares its weights draws its own components.
    logits, loc, scale, slopes = (each.astype(np.float32) for each in TWO)
    batch = DiscretizedLogisticMixture(logits, np.stack([loc] * 2), scale, slopes)
    first, second = np.moveaxis(batch.sample(500, seed=(5, 6)).numpy(), 1, 0)
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 4 / np.sqrt(500)
    mean = DiscretizedLogisticMixture(*TWO).mean()
    np.testing.assert_allclose(mean, [margin @ LEVELS for margin in margins], atol=0.02)
