"""What programs print of recipes and results."""

from collections.abc import Sequence

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, training
from dvae_tf.models import DVAE
from dvae_tf.runs import Result

from .cost import estimate_seconds


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
