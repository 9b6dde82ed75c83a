"""Running a program: help, training as the flags say, and exit codes.

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

from dvae_tf import config, data, storage, training

from . import devices, recipe_flags, show

FAILURE = 1
BAD_USE = 2
# Shells use the same convention.
_SIGNALLED = 128


def run(dataset: str, description: str | None, struct: str, num_train_iter: int, **defaults: Any) -> None:
    """Runs a training program for a dataset of the library.

    Args:
      dataset: the name of the dataset.
      description: shown by `--help`.
      struct: the default of that flag.
      num_train_iter: the default of that flag.
      **defaults: the defaults of other flags.
    """
    recipe_flags.define_data_flags()
    recipe_flags.define_flags(struct, num_train_iter)
    for name, value in defaults.items():
        flags.FLAGS.set_default(name, value)

    def main(_: Sequence[str]) -> None:
        recipe = recipe_flags.recipe_from_flags(dataset)
        train(recipe, lambda: recipe_flags.load_images(dataset, recipe.likelihood))

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
    show.announce(console, recipe, images)
    if values.dry_run:
        return
    result = training.train(recipe, images, values.log_dir, strategy=strategy)
    show.show_result(console, result)
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


def release_models() -> None:
    """Releases the compiled programs of models that are no longer used."""
    keras.backend.clear_session()
    gc.collect()
