"""A result with all required fields, as JSON values."""

REQUIRED = {
    "dataset": "digits",
    "struct": "1-layer-small",
    "baseline": "dvaes_power",
    "k": 1,
    "beta": 30.0,
    "seed": 0,
    "sampler": "pcd",
    "num_chains": 100,
    "num_sweeps": 20,
    "num_train_iter": 1000,
    "test_nll": 21.5,
    "test_nll_standard_error": 0.2,
    "test_nll_monte_carlo_error": 0.01,
    "eval_iw_samples": 100,
    "num_test_images": 250,
    "log_partition": 24.4,
    "log_partition_standard_error": 0.01,
    "active_units": 30,
    "num_units": 32,
}
