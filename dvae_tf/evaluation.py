r"""Likelihoods of the discrete model, with error bars (DVAE# paper, Sec. 4, last paragraphs).

$$
\mathrm{NLL} = -\frac{1}{N} \sum_x \log \frac{1}{K} \sum_k
\frac{e^{-E(z_k)} \, p(x | z_k)}{q(z_k | x)} + \log Z, \qquad z_k \sim q(z | x)
$$

The first term is the importance-weighted bound of the discrete model: in expectation it overestimates the
NLL, less with larger $K$. $\log Z$ is exact where it can be enumerated, otherwise annealed from both sides
(`partition.estimate`), which brackets the NLL.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .models import DVAE, LocalCode
from .models.inputs import checked_images
from .numerics import Seed, Tag, as_seed, fold_in

# A unit is active if the variance of its posterior mean over images is above this.
_ACTIVE_VARIANCE = 0.01


class Evaluation(NamedTuple):
    """The measured likelihood of a model; nats.

    Attributes:
      nll: negative log-likelihood, mean over the images; an upper bound in expectation.
      standard_error: of `nll` as an estimate for the population that the images are drawn from: the
        standard deviation over images divided by the square root of their number.
      monte_carlo_error: of `nll` for these very images, from importance samples and log Z together.
      log_partition: log Z.
      log_partition_standard_error: of log Z; 0 where it is exact.
      log_partition_effective_sample_size: of the annealed chains; None if there are none.
      log_partition_method: "two-sided", "exact" or "normalized".
      log_partition_converged: whether both sides of log Z agree; otherwise the NLL is not reliable.
      nll_bracket: the NLL at the lower and at the upper side of log Z.
      active_units: number of units whose posterior mean varies over the images.
      num_images: how many images.
      num_importance_samples: K.
      image_nll: NLL of each image, float64 [N], for paired comparisons of models on the same images.
      bits_per_dim: `nll` in bits per pixel and channel, of a likelihood of 8-bit levels; None for others.
      code_kl: KL divergence of the posterior of the bits from their prior (`CodeUse`).
      local_kl: the same of each local group; empty without local variables.
      active_local_units: number of local variables whose posterior mean varies over the images.
    """

    nll: float
    standard_error: float
    monte_carlo_error: float
    log_partition: float
    log_partition_standard_error: float
    log_partition_effective_sample_size: float | None
    log_partition_method: str
    log_partition_converged: bool
    nll_bracket: tuple[float, float]
    active_units: int
    num_images: int
    num_importance_samples: int
    image_nll: np.ndarray
    bits_per_dim: float | None = None
    code_kl: float | None = None
    local_kl: tuple[float, ...] = ()
    active_local_units: int = 0


class ImageNLL(NamedTuple):
    """Negative log-likelihood of each image and its Monte Carlo variance, float64 [N], nats."""

    nll: np.ndarray
    variance: np.ndarray


def evaluate(
    model: DVAE,
    images: Any,
    num_importance_samples: int = 4000,
    seed: Seed = (0, 0),
    batch_size: int = 100,
    num_temperatures: int = 10_000,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measures the negative log-likelihood of images under the discrete model.

    log Z is measured anew and stored in the model's prior. The importance samples are streamed, so memory
    depends on the batch size only.

    Args:
      model: a `DVAE`.
      images: [N, X], as the likelihood takes them.
      num_importance_samples: K.
      seed: an `int32[2]` seed or an integer.
      batch_size: images per batch.
      num_temperatures: of annealed importance sampling.
      progress: called with (images done, images in all).

    Raises:
      ValueError: if a number is below 1 or the images do not fit the model.
    """
    images = _checked(model, images)
    estimate = model.measure_log_partition(fold_in(seed, Tag.ANNEALING), num_temperatures, both_sides=True)
    measured = image_nll(model, images, num_importance_samples, seed, batch_size, progress)
    count = len(images)
    nll = float(measured.nll.mean())
    log_z, error = float(estimate.log_partition), float(estimate.standard_error)
    lower, upper = (log_z if side is None else float(side) for side in (estimate.lower, estimate.upper))
    ess = estimate.effective_sample_size
    use = code_use(model, images, seed)
    return Evaluation(
        nll=nll,
        standard_error=float(measured.nll.std(ddof=min(1, count - 1)) / np.sqrt(count)),
        monte_carlo_error=float(np.hypot(np.sqrt(measured.variance.sum()) / count, error)),
        log_partition=log_z,
        log_partition_standard_error=error,
        log_partition_effective_sample_size=None if ess is None else float(ess),
        log_partition_method=estimate.method,
        log_partition_converged=bool(estimate.converged),
        nll_bracket=(nll + (lower - log_z), nll + (upper - log_z)),
        active_units=int(use.active.sum()),
        num_images=count,
        num_importance_samples=num_importance_samples,
        image_nll=measured.nll,
        bits_per_dim=bits_per_dim(nll, model.num_pixels) if _has_levels(images, model.num_levels) else None,
        code_kl=use.kl,
        local_kl=use.local_kl,
        active_local_units=int(use.active_local.sum()),
    )


def bits_per_dim(nll: float, num_pixels: int) -> float:
    """A negative log-likelihood of images in nats as bits per pixel and channel.

    Args:
      nll: nats per image.
      num_pixels: X, the numbers of an image: one for each pixel and channel.
    """
    return nll / (num_pixels * math.log(2))


def _has_levels(images: np.ndarray, num_levels: int | None) -> bool:
    """Whether the pixels are the levels n / 255 that a likelihood gives probabilities of."""
    if num_levels is None:
        return False
    numbers = (num_levels - 1) * np.asarray(images, np.float64)
    return bool(np.abs(numbers - np.rint(numbers)).max() < 1e-3)


class PairedDifference(NamedTuple):
    """The mean difference of two models' NLL on the same images, and its standard error over images; nats."""

    mean: float
    standard_error: float


def paired_difference(first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """How much higher the NLL of the second model is, image by image.

    The standard error of the difference is far smaller than those of the two means: both models find the same
    images hard.

    Args:
      first: [N], NLL of each image under the first model, nats.
      second: [N], of the same images under the second model.

    Raises:
      ValueError: if the shapes differ, or there are fewer than two images.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 1 or len(first) < 2 or first.shape != second.shape:
        raise ValueError(
            "second: expected as many images as in first, [N] with N at least 2, "
            f"got {first.shape} and {second.shape}"
        )
    difference = second - first
    return PairedDifference(
        float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))
    )


def image_nll(
    model: DVAE,
    images: Any,
    num_importance_samples: int,
    seed: Seed,
    batch_size: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> ImageNLL:
    """The negative log-likelihood of each image with the log Z that the model's prior stores."""
    images = _checked(model, images)
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    count, seed = len(images), fold_in(seed, Tag.TEST)
    nll, variance = np.zeros(count), np.zeros(count)
    for start in range(0, count, batch_size):
        batch = images[start : start + batch_size]
        # A short last batch is padded, so that one compiled program serves all.
        padded = np.resize(batch, (batch_size, images.shape[1]))
        estimate = model.estimate_likelihood(
            padded, num_importance_samples, fold_in(seed, start // batch_size)
        )
        stop = start + len(batch)
        nll[start:stop] = -estimate.log_likelihood.numpy()[: len(batch)]
        variance[start:stop] = estimate.variance.numpy()[: len(batch)]
        if progress is not None:
            progress(stop, count)
    return ImageNLL(nll, variance)


class CodeUse(NamedTuple):
    r"""What a model's code is used for; nats.

    Attributes:
      active: whether the variance of q(z = 1 | x) over images is above 0.01, bool [D]; that of the posterior
        mean of a Gaussian code.
      active_local: the same of the posterior mean of each local variable, less the mean of its prior and in
        units of the scale of that, bool [Y].
      kl: estimate of the KL divergence of q(z | x) from p(z), mean over images, with the log Z that the prior
        stores.
      local_kl: KL divergence of each local group given what is before it, mean over images.
    """

    active: np.ndarray
    active_local: np.ndarray
    kl: float
    local_kl: tuple[float, ...]


def code_use(model: DVAE, images: Any, seed: Seed = (0, 0), at_most: int = 2000) -> CodeUse:
    """Which units of the code vary over the (first) images, and how many nats of each kind it takes."""
    code = model.encode(_checked(model, images)[:at_most], 1, as_seed(seed))
    kl = float(tf.reduce_mean(code.log_prob - model.prior.binary().log_prob(code.z)))
    active = _varies(model.posterior.means(code.logits[0]))
    if not isinstance(code, LocalCode):
        return CodeUse(active, np.zeros(0, bool), kl, ())
    local_kl = tuple(tf.reduce_mean(code.local_kl, (1, 2)).numpy().tolist())
    return CodeUse(active, _varies(code.local_shift[0]), kl, local_kl)


def active_units(model: DVAE, images: Any, seed: Seed = (0, 0), at_most: int = 2000) -> np.ndarray:
    """Whether the variance of q(z = 1 | x) over the (first) images is above 0.01, bool [D]."""
    return code_use(model, images, seed, at_most).active


def _varies(means: tf.Tensor) -> np.ndarray:
    return (tf.math.reduce_variance(means, 0) > _ACTIVE_VARIANCE).numpy()


def _checked(model: DVAE, images: Any) -> np.ndarray:
    images = checked_images(images, model.num_pixels, model.pixel_values, "images").numpy()
    if not len(images):
        raise ValueError(f"images: expected at least one, got shape {images.shape}")
    return images
