"""What every training runner shares: flags, the announcement before a run, exit codes.

Exit codes: 0 for success, 1 for a failure of the run, 2 for bad use (flags, data, folders), 128 + the
signal's number for a run that was asked to stop and can go on.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from absl import app, flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, training
from dvae_tf.models import DVAE
from dvae_tf.runs import Result
from dvae_tf.storage import StorageError

from . import devices
from .cost import estimate_seconds

FAILURE = 1
BAD_USE = 2
# As shells count.
_SIGNALLED = 128

# Flags that are fields of a recipe: name -> help.
_RECIPE_FLAGS = {
    "num_chains": "Chains of the negative phase.",
    "num_sweeps": "Gibbs sweeps for each parameter update.",
    "train_batchsize": "Images of a training step.",
    "eval_batchsize": "Images at a time in validation and test; bounds their memory.",
    "eval_iw_samples": "Importance samples of the test likelihood.",
    "num_validations": "Validations of a run; each takes the time of some thousand steps.",
    "base_lr": "Learning rate before its steps.",
    "seed": "From which every random number of the run follows.",
}
# Fields whose default is the baseline's, or none.
_OPTIONAL_FLAGS = ("temperature", "couplings", "adam_epsilon", "patience", "num_tracking_chains")

_DEFINE: dict[type, Any] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
}


def define_data_flags() -> None:
    """Defines where the datasets of the library are."""
    flags.DEFINE_string("data_dir", None, "Folder of the datasets that TFDS prepares; TFDS has a default.")
    flags.DEFINE_string("manual_dir", None, "Folder with the published data files: then no network is used.")


def load_images(dataset: str) -> data.Images:
    """A dataset of the library, from where the flags say."""
    values = flags.FLAGS
    return data.load(dataset, data_dir=values.data_dir or None, manual_dir=values.manual_dir or None)


def load_test_images(dataset: str) -> data.Images | None:
    """The images of `--test` where it is given; else the dataset; None if that is the user's own."""
    if flags.FLAGS.test:
        own = data.read_array(flags.FLAGS.test)
        return data.from_arrays(own, own, own, name=dataset)
    return load_images(dataset) if dataset in config.DATASETS else None


def define_flags(struct: str, num_train_iter: int) -> None:
    """Defines the flags of a training runner, with a dataset's own defaults."""
    defaults = config.Recipe.__dataclass_fields__
    # absl's logging has a flag of this name, which nothing here uses.
    flags.DEFINE_string(
        "log_dir",
        None,
        "The run folder; a run in it goes on where it stopped.",
        allow_override=True,
    )
    flags.DEFINE_string("struct", struct, f"One of {', '.join(config.STRUCTURES)}.")
    flags.DEFINE_string("baseline", "dvaes_power", f"One of {', '.join(config.BASELINES)}.")
    flags.DEFINE_integer("k", 1, "Importance samples of the training bound.")
    flags.DEFINE_float("beta", None, "Sharpness of the smoothing; the published one if not given.")
    flags.DEFINE_string("sampler", "pcd", f"Of the negative phase: one of {', '.join(config.SAMPLERS)}.")
    flags.DEFINE_integer("num_train_iter", num_train_iter, "Parameter updates; scales the schedule.")
    flags.DEFINE_string(
        "strategy",
        "none",
        f"Which devices take part: one of {', '.join(devices.STRATEGIES)}. With multi_worker every machine "
        "runs the same command with its own TF_CONFIG, and all see the same log_dir.",
    )
    flags.DEFINE_integer(
        "num_replicas",
        None,
        "Shares of a step, with a part of the batch and of the chains each; as many as devices if not given.",
    )
    flags.DEFINE_bool("dry_run", False, "Print what would be run, and stop.")
    for name, text in _RECIPE_FLAGS.items():
        default = defaults[name].default
        _DEFINE[type(default)](name, default, text)
    flags.DEFINE_float(
        "temperature", None, "Sharpness of the Concrete relaxation; the baseline's if not given."
    )
    flags.DEFINE_float("adam_epsilon", None, "Of Adam; the baseline's if not given.")
    flags.DEFINE_integer(
        "patience", None, "Validations without a better one before training stops; to the end if not given."
    )
    flags.DEFINE_integer(
        "num_tracking_chains",
        None,
        "Size of the population that tracks log Z between validations, for a live validation NLL. Default: "
        "as many as chains with --sampler=pa, otherwise none.",
    )
    flags.DEFINE_bool(
        "couplings",
        None,
        "Whether W is trained; otherwise it stays 0 and the prior is factorial. As the baseline says if not "
        "given.",
    )


def recipe_from_flags(dataset: str, **changes: Any) -> config.Recipe:
    """The recipe that the flags describe, with changes."""
    values = flags.FLAGS
    given = {name: getattr(values, name) for name in _OPTIONAL_FLAGS if getattr(values, name) is not None}
    changes = {name: getattr(values, name) for name in _RECIPE_FLAGS} | given | changes
    return config.recipe(
        dataset,
        values.struct,
        values.baseline,
        values.k,
        values.beta,
        sampler=values.sampler,
        num_train_iter=values.num_train_iter,
        num_replicas=devices.num_replicas(values.strategy, values.num_replicas),
        **changes,
    )


def run(dataset: str, struct: str, num_train_iter: int, **defaults: Any) -> None:
    """The whole of a training runner for a dataset of the library; `defaults` are those of other flags."""
    define_data_flags()
    define_flags(struct, num_train_iter)
    for name, value in defaults.items():
        flags.FLAGS.set_default(name, value)

    def main(_: Sequence[str]) -> None:
        train(recipe_from_flags(dataset), lambda: load_images(dataset))

    start(main)


def train(recipe: config.Recipe, load: Callable[[], data.Images]) -> None:
    """Announces a run, trains, and shows the result, as the flags say."""
    values = flags.FLAGS
    console = Console()
    if not values.dry_run and not values.log_dir:
        raise ValueError("log_dir: expected a folder for the run, got none")
    strategy = None if values.dry_run else devices.make_strategy(values.strategy, recipe.num_replicas)
    images = load()
    announce(console, recipe, images)
    if values.dry_run:
        return
    result = training.train(recipe, images, values.log_dir, strategy=strategy)
    show_result(console, result)
    console.print(f"Run folder: {values.log_dir}")


def start(main: Callable[[Sequence[str]], None]) -> None:
    """Runs `main` under absl, turning errors into messages and exit codes."""

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv)
        except SystemExit:  # the help flags leave with 1; asking for help is no error
            sys.exit(0)
        except flags.Error as error:
            _leave(BAD_USE, str(error))
        if len(rest) > 1:
            _leave(BAD_USE, f"expected flags only, got {rest[1:]}")
        return rest

    def guarded(argv: Sequence[str]) -> None:
        use_gpu_sparingly()
        try:
            main(argv)
        except (ValueError, FileNotFoundError, PermissionError, data.DataError) as error:
            _leave(BAD_USE, str(error))
        except (training.TrainingError, StorageError) as error:
            _leave(FAILURE, str(error))
        except training.Interrupted as interrupted:
            _leave(_SIGNALLED + interrupted.signal, str(interrupted))

    # `--help` shows the flags of the runner, which it defines through this module.
    for flag in flags.FLAGS.get_flags_for_module(__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(guarded, flags_parser=parse)


def _leave(code: int, message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def use_gpu_sparingly() -> None:
    """Lets a GPU's memory grow as needed, so that others can use it too."""
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)


def announce(console: Console, recipe: config.Recipe, images: data.Images) -> None:
    """Prints what is about to run: configuration, size, the paper's figure, the time it may take."""
    table = Table("field", "value", title="Configuration")
    for name, value in recipe.to_json().items():
        table.add_row(name, str(value))
    console.print(table)
    model = DVAE(recipe, images.train.mean(0))
    trainable = sum(int(tf.size(variable)) for variable in model.trainable_variables)
    sizes = " / ".join(f"{len(split):,}" for split in (images.train, images.validation, images.test))
    console.print(f"Data: {images.source}; {sizes} images")
    console.print(f"Parameters: {trainable:,}")
    published = recipe.published
    figure = "none"
    if published:
        deviation = published.standard_deviation
        figure = str(published.mean) + ("" if deviation is None else f" ± {deviation}")
    console.print(f"Published test NLL of this cell (1,000,000 iterations): {figure}")
    seconds = estimate_seconds(recipe, images)
    console.print(
        f"Estimated time on this machine: {training.readable_seconds(seconds)} (within a factor of two)"
    )


def log_partition_text(result: Result) -> str:
    """log Z, with its standard error unless it has none, and with a verdict unless it has converged."""
    if result.log_partition_standard_error == 0:
        return f"{result.log_partition:.3f}"
    text = f"{result.log_partition:.3f} ± {result.log_partition_standard_error:.3f}"
    verdicts = {True: "", False: ", not converged", None: ", convergence not recorded"}
    return text + verdicts[result.log_partition_converged]


def show_result(console: Console, result: Result) -> None:
    """Prints the table of a finished run."""
    table = Table("quantity", "value", title=f"{result.baseline}, {result.struct}")
    error = result.test_nll_standard_error
    table.add_row("test NLL (nats)", f"{result.test_nll:.2f} ± {error:.2f} (over images)")
    table.add_row("  Monte Carlo error", f"{result.test_nll_monte_carlo_error:.3f}")
    table.add_row("log Z (nats)", log_partition_text(result))
    if result.test_nll_bracket is not None and result.log_partition_standard_error > 0:
        low, high = result.test_nll_bracket
        table.add_row("test NLL by both sides of log Z", f"{low:.3f} to {high:.3f}")
    table.add_row("active units", f"{result.active_units} of {result.num_units}")
    if result.published_nll is not None:
        table.add_row("published test NLL", f"{result.published_nll:.2f}")
    console.print(table)
    if result.log_partition_converged is False:
        console.print("log Z has not converged: an NLL that uses it is not reliable.")
