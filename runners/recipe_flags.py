"""Flags of recipes and of data, and the recipe and the images that they describe."""

from collections.abc import Sequence
from typing import Any

from absl import flags

from dvae_tf import config, data

from . import devices

# Flags that set fields of a recipe: name -> help.
_RECIPE_FLAGS = {
    "num_chains": "Number of chains of the negative phase.",
    "num_sweeps": "Number of Gibbs sweeps per parameter update.",
    "train_batchsize": "Number of images of a training step.",
    "eval_batchsize": "Number of images per batch in validation and test; limits memory.",
    "eval_iw_samples": "Number of importance samples of the test NLL.",
    "num_validations": "Number of validations of a run; each takes as long as a few thousand steps.",
    "batch_norm_batches": "Number of batches for the batch-norm statistics of validations; 0: running ones.",
    "kl_warmup_fraction": "The part of the run in which the weight of the code's KL term rises to 1.",
    "local_kl_warmup_fraction": "The same of the KL terms of local variables.",
    "weight_decay": "Kernels and batch-norm scales add half of this times their squares to the loss.",
    "seed": "The seed of all random numbers of the run.",
    "doubly_reparameterized": "Whether gradients of the encoder are doubly reparameterized (dvaes_…).",
    "likelihood": f"The likelihood of the pixels: one of {', '.join(config.LIKELIHOODS)}.",
    "graph": f"The graph of the machine: one of {', '.join(config.GRAPHS)}, random-M (bipartite, M edges, "
    "seed 0), or a file with an edge a line.",
}
# Fields whose default depends on the baseline, or is None.
_OPTIONAL_FLAGS = (
    "temperature",
    "couplings",
    "base_lr",
    "adam_epsilon",
    "patience",
    "num_tracking_chains",
    "num_groups",
    "units",
    "num_local_groups",
    "local_units",
    "init_from",
    "centered",
    "rao_blackwellized",
    "late_start",
    "late_k",
    "refit_start",
)

_DEFINE: dict[type, Any] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define_data_flags() -> None:
    """Defines the flags that locate the datasets of the library."""
    flags.DEFINE_string("data_dir", None, "The folder of data prepared by TFDS; by default that of TFDS.")
    flags.DEFINE_string(
        "manual_dir", None, "A folder with the published data files, read instead of downloading them."
    )


def load_images(dataset: str, likelihood: str = config.Recipe.likelihood) -> data.Images:
    """Loads a dataset of the library, as a likelihood takes it, from the place that the flags name."""
    values = flags.FLAGS
    return data.load(
        dataset,
        data_dir=values.data_dir or None,
        manual_dir=values.manual_dir or None,
        pixels="levels" if takes_levels(likelihood) else "bits",
    )


def load_test_images(dataset: str, likelihood: str) -> data.Images | None:
    """The images of `--test` if given, otherwise the dataset; None if it is not one of the library."""
    if flags.FLAGS.test:
        own = data.read_array(flags.FLAGS.test)
        binarize = "none" if takes_levels(likelihood) else "random"
        return data.from_arrays(own, own, own, name=dataset, binarize=binarize)
    return load_images(dataset, likelihood) if dataset in config.DATASETS else None


def takes_levels(likelihood: str) -> bool:
    """Whether a likelihood is one of levels; an unknown name is refused elsewhere."""
    facts = config.LIKELIHOODS.get(likelihood)
    return facts is not None and facts.pixels != "bits"


def define_flags(struct: str, num_train_iter: int) -> None:
    """Defines the flags of a training program, with the defaults of its dataset."""
    defaults = config.Recipe.__dataclass_fields__
    # absl's logging defines a flag of this name, which is not used here.
    flags.DEFINE_string(
        "log_dir",
        None,
        "The run folder; an unfinished run in it is resumed.",
        allow_override=True,
    )
    flags.DEFINE_string(
        "struct",
        struct,
        f"The sizes of the code and of the networks: one of {', '.join(config.STRUCTURES)}; the next three "
        "flags change them.",
    )
    flags.DEFINE_integer("num_groups", None, "Number of groups of the code.")
    flags.DEFINE_integer("units", None, "Number of binary units of each group.")
    flags.DEFINE_list(
        "hidden", None, "Sizes of the hidden layers of every network, such as 200,200; empty for none."
    )
    flags.DEFINE_list(
        "channels", None, "Channels of convolutional networks, from fine to coarse, such as 16,16."
    )
    flags.DEFINE_integer(
        "num_local_groups",
        None,
        "Number of groups of local variables; 0 leaves bits alone (conv structures).",
    )
    flags.DEFINE_integer("local_units", None, "Number of local variables of each group, at each place.")
    flags.DEFINE_string(
        "baseline",
        "dvaes_power",
        f"One of {', '.join(config.BASELINES)}, or a system that --parts registers.",
    )
    flags.DEFINE_string(
        "init_from",
        None,
        "A run folder or a pretrained model whose weights and chains training starts from, past the warm-up.",
    )
    flags.DEFINE_string(
        "schedule",
        "published",
        f"The schedule of training: one of {', '.join(config.SCHEDULES)}. Flags of its fields change it.",
    )
    flags.DEFINE_bool("centered", None, "Whether the machine is trained in centered units.")
    flags.DEFINE_bool("rao_blackwellized", None, "Whether the negative phase averages free energies.")
    flags.DEFINE_float(
        "late_start", None, "The fraction of the run from which on the bound takes late_k samples."
    )
    flags.DEFINE_integer("late_k", None, "Number of importance samples of the late part of the run.")
    flags.DEFINE_float(
        "refit_start", None, "The fraction of the run from which on only the encoder is trained."
    )
    flags.DEFINE_integer(
        "k",
        1,
        "Number of samples of the training bound; rloo and vimco need at least 2, disarm an even number.",
    )
    flags.DEFINE_float("beta", None, "The sharpness of the smoothing; by default the published one.")
    flags.DEFINE_string(
        "sampler", "pcd", f"The sampler of the negative phase: one of {', '.join(config.SAMPLERS)}."
    )
    flags.DEFINE_integer(
        "num_train_iter", num_train_iter, "Number of parameter updates; scales the schedule."
    )
    flags.DEFINE_string(
        "strategy",
        "none",
        f"The devices to train on: one of {', '.join(devices.STRATEGIES)}. With multi_worker each machine "
        "runs the same command with its own TF_CONFIG, and all share log_dir.",
    )
    flags.DEFINE_integer(
        "num_replicas",
        None,
        "Number of replicas, each with a part of the batch and of the chains; by default one per device.",
    )
    flags.DEFINE_bool(
        "dry_run", False, "Check everything, print the configuration and the estimated time, and exit."
    )
    for name, text in _RECIPE_FLAGS.items():
        default = defaults[name].default
        _DEFINE[type(default)](name, default, text)
    flags.DEFINE_float(
        "temperature",
        None,
        "The temperature of the Concrete relaxation (initial for rebar); by default that of the baseline.",
    )
    flags.DEFINE_float("base_lr", None, "The learning rate; by default that of the schedule.")
    flags.DEFINE_list(
        "lr_steps",
        None,
        "Factors of base_lr, each behind the fraction of the run from which on it holds, as in 0:1,0.6:0.3; "
        "by default those of the baseline and the schedule.",
    )
    flags.DEFINE_float("adam_epsilon", None, "The epsilon of Adam; by default that of the baseline.")
    flags.DEFINE_integer(
        "patience",
        None,
        "Number of validations without improvement after which training stops; by default none.",
    )
    flags.DEFINE_integer(
        "num_tracking_chains",
        None,
        "Number of chains that track log Z between validations, for a live validation NLL; by default "
        "num_chains with --sampler=pa, otherwise 0.",
    )
    flags.DEFINE_bool(
        "couplings",
        None,
        "Whether the couplings W are trained; otherwise they stay 0 (a factorial prior). By default as "
        "the baseline defines.",
    )


def recipe_from_flags(dataset: str, **changes: Any) -> config.Recipe:
    """The recipe that the flags describe, with `changes` applied."""
    values = flags.FLAGS
    given = {name: getattr(values, name) for name in _OPTIONAL_FLAGS if getattr(values, name) is not None}
    for name in ("hidden", "channels"):
        if (sizes := getattr(values, name)) is not None:
            given[name] = _sizes(name, sizes)
    if values.lr_steps is not None:
        given["lr_steps"] = _lr_steps(values.lr_steps)
    names = ("struct", "baseline", "schedule", "k", "beta", "sampler", "num_train_iter", *_RECIPE_FLAGS)
    fields = {name: getattr(values, name) for name in names} | given
    fields["num_replicas"] = devices.num_replicas(values.strategy, values.num_replicas)
    return config.recipe(dataset, **fields | changes)


def _sizes(name: str, given: Sequence[str]) -> tuple[int, ...]:
    """Integers that a flag lists."""
    if not all(size.strip().isdecimal() for size in given):
        raise ValueError(f"{name}: expected integers with commas between them, got {','.join(given)}")
    return tuple(int(size) for size in given)


def _lr_steps(given: Sequence[str]) -> tuple[tuple[float, float], ...]:
    """Pairs (fraction, factor) that a flag lists."""
    try:
        steps = [tuple(map(float, step.split(":"))) for step in given]
        return tuple((start, factor) for start, factor in steps)
    except ValueError as error:
        raise ValueError(f"lr_steps: expected fraction:factor,…, got {','.join(given)}") from error
