"""What a run measures of its model: validations, live values between them, and the test."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import evaluation
from ..config import Recipe
from ..data import Images
from ..evaluation import Evaluation
from ..models import DVAE
from ..numerics import Tag, fold_in
from ..runs import History, Result

# Live validation NLLs, where log Z is tracked: how many between two validations, and on what.
LIVE_VALUES = 5
_LIVE_IMAGES = 1_000
_LIVE_SAMPLES = 10


def validate(model: DVAE, images: np.ndarray, step: int, means: dict[str, float]) -> dict[str, float]:
    """Measures log Z, stores it in the prior, and measures the validation NLL.

    Args:
      model: the model after `step` steps.
      images: [N, X], validation images.
      step: number of steps taken.
      means: means of the step reports since the last validation.

    Returns:
      Scalars by name: `means`, `val_nll`, log Z, and diagnostics of the chains; nats.
    """
    recipe = model.recipe
    seed = fold_in((0, recipe.seed), Tag.VALIDATION, step)
    model.prior.track()
    log_z_before = float(model.prior.log_partition)
    # Taken first: measuring log Z resets the families of a population.
    diagnostics = model.prior.diagnostics()
    estimate = model.measure_log_partition(seed)
    nll = evaluation.image_nll(model, images, recipe.validation_iw_samples, seed, recipe.eval_batchsize).nll
    use = evaluation.code_use(model, images, seed)
    kl_weight = float(model.kl_weight(step))
    # The objectives used the previous log Z, which on average was half of its change too low.
    log_z = float(estimate.log_partition)
    drift = (log_z - log_z_before) / 2
    report = means | {
        "objective": means["objective"] - kl_weight * drift,
        "val_nll": float(nll.mean()),
        "log_partition": log_z,
        "log_partition_standard_error": float(estimate.standard_error),
        "log_partition_converged": float(estimate.converged),
        "log_partition_before": log_z_before,
        "learning_rate": float(model.optimizer.learning_rate),
        "kl_weight": kl_weight,
        "active_units": float(use.active.sum()),
        **diagnostics,
    }
    if use.local_kl:
        report |= {"code_kl": use.kl, "active_local_units": float(use.active_local.sum())}
        report |= {f"local_kl_{group}": kl for group, kl in enumerate(use.local_kl)}
    if estimate.effective_sample_size is not None:
        report["ais_effective_sample_size"] = float(estimate.effective_sample_size)
    return report


def live_values(model: DVAE, images: np.ndarray, step: int) -> dict[str, float]:
    """The NLL of some validation images with the tracked log Z; empty if log Z is not tracked."""
    log_z = model.prior.track()
    if log_z is None:
        return {}
    recipe = model.recipe
    images = images[:_LIVE_IMAGES]
    batch_size = min(recipe.eval_batchsize, len(images))
    seed = fold_in((0, recipe.seed), Tag.LIVE, step)
    nll = evaluation.image_nll(model, images, _LIVE_SAMPLES, seed, batch_size).nll
    return {"live_val_nll": float(nll.mean()), "live_log_partition": float(log_z)}


def measure_test(model: DVAE, images: np.ndarray, progress: Callable[[int, int], None]) -> Evaluation:
    """Measures test images as the recipe says; `progress` is called with (images done, images in all)."""
    recipe = model.recipe
    return evaluation.evaluate(
        model,
        images,
        recipe.eval_iw_samples,
        fold_in((0, recipe.seed), Tag.TEST),
        recipe.eval_batchsize,
        recipe.ais_temperatures,
        progress,
    )


def result_of(model: DVAE, measured: Evaluation, **origin: Any) -> Result:
    """The result of a measurement; `origin` are fields of `Result` that say how the numbers came about."""
    recipe = model.recipe
    return Result(
        dataset=recipe.dataset,
        struct=recipe.struct,
        baseline=recipe.baseline,
        k=recipe.k,
        beta=recipe.beta,
        temperature=recipe.temperature,
        couplings=recipe.couplings,
        seed=recipe.seed,
        sampler=recipe.sampler,
        num_chains=recipe.num_chains,
        num_sweeps=recipe.num_sweeps,
        num_train_iter=recipe.num_train_iter,
        schedule=recipe.schedule,
        graph=recipe.graph,
        test_nll=measured.nll,
        test_nll_standard_error=measured.standard_error,
        test_nll_monte_carlo_error=measured.monte_carlo_error,
        test_bits_per_dim=measured.bits_per_dim,
        eval_iw_samples=measured.num_importance_samples,
        num_test_images=measured.num_images,
        log_partition=measured.log_partition,
        log_partition_standard_error=measured.log_partition_standard_error,
        log_partition_effective_sample_size=measured.log_partition_effective_sample_size,
        log_partition_method=measured.log_partition_method,
        log_partition_converged=measured.log_partition_converged,
        test_nll_bracket=measured.nll_bracket,
        active_units=measured.active_units,
        num_units=recipe.structure.num_units,
        num_local_groups=recipe.structure.num_local_groups,
        num_local_units=model.num_local,
        code_kl=measured.code_kl,
        local_kl=list(measured.local_kl),
        active_local_units=measured.active_local_units,
        published_nll=recipe.published.mean if recipe.published else None,
        **origin,
    )


def tracking_error(model: DVAE, history: History) -> float | None:
    """The largest error of the tracked log Z just before it was measured, nats; None if none is tracked."""
    if not model.recipe.num_tracking_chains:
        return None
    pairs = zip(history.log_partition_before, history.log_partition, strict=True)
    return max(abs(before - measured) for before, measured in pairs)


def check_images(recipe: Recipe, images: Images, pixels: str | None) -> None:
    """Checks that images fit a recipe.

    Args:
      recipe: the recipe.
      images: the dataset.
      pixels: what the likelihood takes: "bits", "levels", "8-bit levels", or None if it is not known.

    Raises:
      ValueError: if they do not; the message names the field of the recipe.
    """
    if images.name != recipe.dataset:
        raise ValueError(f"images: expected {recipe.dataset}, the dataset of the recipe, got {images.name}")
    if recipe.train_batchsize > len(images.train):
        raise ValueError(
            f"train_batchsize: expected at most the {len(images.train)} training images, "
            f"got {recipe.train_batchsize}"
        )
    if pixels in ("levels", "8-bit levels") and images.is_binary:
        raise ValueError(
            f"likelihood: expected one of bits, such as bernoulli, for binary images, got {recipe.likelihood}"
        )
    for split in ("validation", "test") if pixels in ("levels", "8-bit levels") else ():
        if np.isin(getattr(images, split), (0, 1)).all():
            raise ValueError(
                f"images: expected levels in {split} for {recipe.likelihood}, got bits; load them with "
                "data.load(…, pixels='levels') or data.from_arrays(…, binarize='none')"
            )
    if recipe.image_shape is not None and recipe.image_shape != images.image_shape:
        raise ValueError(
            f"image_shape: expected that of the images, {images.image_shape}, or None, "
            f"got {recipe.image_shape}"
        )
    if pixels == "bits" and not (recipe.dynamic_binarization or images.is_binary):
        raise ValueError(
            "dynamic_binarization: expected True for training images that are gray levels, got False"
        )
