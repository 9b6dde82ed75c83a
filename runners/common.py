"""Flags, help, the announcement before a run, and exit codes, shared by all programs.

Exit codes: 0 for success, 1 for a failed run, 2 for incorrect use (flags, data, folders), 128 + the signal's
number for a run that a signal interrupted and that can be resumed.
"""

import contextlib
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import app, flags, logging
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, storage, training
from dvae_tf.models import DVAE
from dvae_tf.runs import Result

from . import devices
from .cost import estimate_seconds

FAILURE = 1
BAD_USE = 2
# Shells use the same convention.
_SIGNALLED = 128

# Flags that set fields of a recipe: name -> help.
_RECIPE_FLAGS = {
    "num_chains": "Number of chains of the negative phase.",
    "num_sweeps": "Number of Gibbs sweeps per parameter update.",
    "train_batchsize": "Number of images of a training step.",
    "eval_batchsize": "Number of images per batch in validation and test; limits memory.",
    "eval_iw_samples": "Number of importance samples of the test NLL.",
    "num_validations": "Number of validations of a run; each takes as long as a few thousand steps.",
    "batch_norm_batches": "Number of batches for the batch-norm statistics of validations; 0: running ones.",
    "seed": "The seed of all random numbers of the run.",
    "doubly_reparameterized": "Whether gradients of the encoder are doubly reparameterized (dvaes_…).",
    "likelihood": f"The likelihood of the pixels: one of {', '.join(config.LIKELIHOODS)}.",
    "graph": f"The graph of the machine: one of {', '.join(config.GRAPHS)}, or a file with an edge a line.",
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


def run(dataset: str, description: str | None, struct: str, num_train_iter: int, **defaults: Any) -> None:
    """Runs a training program for a dataset of the library.

    Args:
      dataset: the name of the dataset.
      description: shown by `--help`.
      struct: the default of that flag.
      num_train_iter: the default of that flag.
      **defaults: the defaults of other flags.
    """
    define_data_flags()
    define_flags(struct, num_train_iter)
    for name, value in defaults.items():
        flags.FLAGS.set_default(name, value)

    def main(_: Sequence[str]) -> None:
        recipe = recipe_from_flags(dataset)
        train(recipe, lambda: load_images(dataset, recipe.likelihood))

    start(main, description)


def train(recipe: config.Recipe, load: Callable[[], data.Images]) -> None:
    """Announces a run, trains it as the flags specify, and prints the result."""
    values = flags.FLAGS
    console = Console()
    if not values.dry_run and not values.log_dir:
        raise ValueError("log_dir: expected a folder for the run, got none")
    # A dry run does not wait for other machines.
    alone = "none" if values.dry_run and values.strategy == "multi_worker" else values.strategy
    strategy = devices.make_strategy(alone, recipe.num_replicas)
    images = load()
    training.check_run(recipe, images, values.log_dir or None, strategy)
    announce(console, recipe, images)
    if values.dry_run:
        return
    result = training.train(recipe, images, values.log_dir, strategy=strategy)
    show_result(console, result)
    console.print(f"Run folder: {storage.as_path(values.log_dir)}")


def start(main: Callable[[Sequence[str]], None], description: str | None) -> None:
    """Runs `main` under absl, turning errors into messages and exit codes.

    Args:
      main: called with the arguments that are not flags.
      description: shown by `--help` above the flags; the docstring of the program's module.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv)
        except SystemExit:  # absl exits with 1 after showing help, which is not an error
            sys.exit(0)
        except flags.Error as error:
            _leave(BAD_USE, str(error))
        if len(rest) > 1:
            _leave(BAD_USE, f"expected flags only, got {rest[1:]}")
        return rest

    def guarded(argv: Sequence[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # absl shows informative messages of TensorFlow by default
        use_gpu_sparingly()
        try:
            for module in flags.FLAGS.parts or ():
                _import(module)
            main(argv)
        except UnicodeEncodeError:  # a ValueError, but no fault of a flag
            raise
        except (ValueError, FileNotFoundError, PermissionError, data.DataError) as error:
            _leave(BAD_USE, str(error))
        except (training.TrainingError, storage.StorageError) as error:
            _leave(FAILURE, str(error))
        except training.Interrupted as interrupted:
            _leave(_SIGNALLED + interrupted.signal, str(interrupted))

    flags.DEFINE_list(
        "parts",
        None,
        "Python modules, importable from here or from PYTHONPATH, that register parts of your own "
        "(dvae_tf.models.register_sampler, …).",
    )
    # absl's `--help` shows the docstring of `__main__` and the flags registered for it. In a console script
    # that is a generated wrapper, without either.
    sys.modules["__main__"].__doc__ = f"{(description or '').strip()}\n"
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith(f"{__package__}."):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    with _forgiving_output():
        app.run(guarded, flags_parser=parse)


def _import(module: str) -> None:
    """Imports a module that registers parts, from the current folder too."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"parts: expected a Python module, got {module!r}: {error}") from error


@contextlib.contextmanager
def _forgiving_output() -> Iterator[None]:
    """Standard output may lack a character, as ASCII does, or a reader, as after `--help | head -1`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_SIGNALLED + signal.SIGPIPE)


def _leave(code: int, message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def use_gpu_sparingly() -> None:
    """Lets the memory of a GPU grow as needed, so that other processes can use it."""
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)


def announce(console: Console, recipe: config.Recipe, images: data.Images) -> None:
    """Prints the configuration, sizes, the published NLL and the estimated time of a run."""
    table = Table("field", "value", title="Configuration")
    for name, value in recipe.to_json().items():
        table.add_row(name, str(value))
    console.print(table)
    model = DVAE(recipe, images.train.mean(0), image_shape=images.image_shape)
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


def release_models() -> None:
    """Releases the compiled programs of models that are no longer used."""
    keras.backend.clear_session()
    gc.collect()


def markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head = (columns, ("---",) * len(columns))
    return "".join(f"| {' | '.join(line)} |\n" for line in (*head, *lines))


def log_partition_text(result: Result) -> str:
    """log Z, with its standard error unless that rounds to 0, and a verdict unless it has converged."""
    text = f"{result.log_partition:.3f}"
    if result.log_partition_standard_error >= 0.0005:
        text += f" ± {result.log_partition_standard_error:.3f}"
    verdicts = {True: "", False: ", not converged", None: ", convergence not recorded"}
    return text + verdicts[result.log_partition_converged]


def bits_text(bits_per_dim: float | None) -> str:
    """An NLL in bits per dimension, to follow that in nats; empty where there is none."""
    return "" if bits_per_dim is None else f" ({bits_per_dim:.3f} bits/dim)"


def show_result(console: Console, result: Result) -> None:
    """Prints the table of a finished run."""
    table = Table("quantity", "value", title=f"{result.baseline}, {result.struct}")
    error = result.test_nll_standard_error
    table.add_row("test NLL (nats)", f"{result.test_nll:.2f} ± {error:.2f} (over images)")
    if (bits := result.test_bits_per_dim) is not None:
        error *= bits / result.test_nll
        table.add_row("test NLL (bits/dim)", f"{bits:.3f} ± {error:.3f}")
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
