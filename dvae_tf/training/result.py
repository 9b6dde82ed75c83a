"""The content of `result.json`."""

from typing import Any

from .. import evaluation
from ..config import Recipe


def result_record(recipe: Recipe, measured: evaluation.Evaluation, origin: dict[str, Any]) -> dict[str, Any]:
    """The part of `result.json` that says what was measured, of what, by what (`provenance`)."""
    return {
        "dataset": recipe.dataset,
        "struct": recipe.struct,
        "baseline": recipe.baseline,
        "k": recipe.k,
        "beta": recipe.beta,
        "temperature": recipe.temperature,
        "couplings": recipe.couplings,
        "seed": recipe.seed,
        "sampler": recipe.sampler,
        "num_chains": recipe.num_chains,
        "num_sweeps": recipe.num_sweeps,
        "num_train_iter": recipe.num_train_iter,
        "test_nll": measured.nll,
        "test_nll_standard_error": measured.standard_error,
        "test_nll_monte_carlo_error": measured.monte_carlo_error,
        "eval_iw_samples": measured.num_importance_samples,
        "num_test_images": measured.num_images,
        "log_partition": measured.log_partition,
        "log_partition_standard_error": measured.log_partition_standard_error,
        "log_partition_effective_sample_size": measured.log_partition_effective_sample_size,
        "log_partition_method": measured.log_partition_method,
        "log_partition_converged": measured.log_partition_converged,
        "test_nll_bracket": list(measured.nll_bracket),
        "active_units": measured.active_units,
        "num_units": recipe.structure.num_units,
        "published_nll": recipe.published.mean if recipe.published else None,
    } | origin
