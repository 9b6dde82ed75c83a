"""Writes a report on one run, or several side by side: a single HTML file that needs no network."""

import base64
import dataclasses
import functools
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from absl import flags
from rich.console import Console

from dvae_tf import data, models, plots, storage
from dvae_tf.runs import BEST_FILE, RESULT_FILE, WEIGHTS_FILE, History, Result, read_history
from dvae_tf.training import readable_seconds

from . import common, comparison, recipe_flags, show
from .comparison import text


@dataclasses.dataclass(frozen=True)
class Run(comparison.Run):
    """A finished run as the page shows it.

    Attributes:
      number: its place on the page, from 1, and its name where space is scarce.
      label: its number and what tells it from the others; the baseline of a run alone.
      history: its validations; None if the folder has no checkpoint.
      pictures: those of `plots.report_pictures`; empty if the folder has no weights.
    """

    number: int
    label: str
    history: History | None
    pictures: dict[str, bytes]


def main() -> None:
    """Entry point."""
    flags.DEFINE_list(
        "log_dir",
        [],
        "Folders of finished runs, or of committed results, separated by commas. Quotes hold a name with a "
        "comma together: --log_dir='\"runs/k=1,beta=30\",runs/b'.",
        allow_override=True,
    )
    flags.DEFINE_string("out", None, "The HTML file to write.")
    flags.DEFINE_enum("reference", "first", comparison.REFERENCES, "What differences between runs are from.")
    recipe_flags.define_data_flags()
    flags.DEFINE_string(
        "test", None, "A file of your own test images, as for `custom`, instead of the dataset's."
    )
    common.start(_report, __doc__)


def _report(_: Sequence[str]) -> None:
    values = flags.FLAGS
    write(values.log_dir, values.out, recipe_flags.load_test_images, values.reference)
    Console().print(f"Report: {values.out}")


def write(
    log_dir: Sequence[str],
    out: str | None,
    load: Callable[[str, str], data.Images | None],
    reference: str = "first",
) -> None:
    """Writes the page.

    Args:
      log_dir: folders of finished runs.
      out: the file to write.
      load: called with the names of a dataset and of a likelihood; None where there are no images of it.
      reference: what differences are from, one of `comparison.REFERENCES`.

    Raises:
      FileNotFoundError: if there is no finished run in a folder.
      ValueError: if a file cannot be written there.
      StorageError: if a file of a run is damaged, or holds something else than expected.
    """
    folders = [storage.as_path(folder) for folder in log_dir]
    if not folders or not all((folder / RESULT_FILE).is_file() for folder in folders):
        raise FileNotFoundError(f"log_dir: expected finished runs with {RESULT_FILE}, got {[*log_dir]}")
    file = storage.as_path(out or "")
    if not out or file.is_dir() or not file.parent.is_dir():
        raise ValueError(f"out: expected a file to write, in a folder that is there; got {out}")
    load = functools.cache(load)
    found = [comparison.read_run(folder) for folder in folders]
    runs = []
    for number, (run, label) in enumerate(zip(found, comparison.labels(found), strict=True), 1):
        label = label if len(folders) == 1 else f"{number}: {label}"
        history = read_history(run.folder, run.recipe)
        has_weights = any((run.folder / name).is_file() for name in (BEST_FILE, WEIGHTS_FILE))
        pictures = {}
        if has_weights:
            images = load(run.recipe.dataset, run.recipe.likelihood)
            pictures = plots.report_pictures(models.load(run.folder), images)
        runs.append(Run(**vars(run), number=number, label=label, history=history, pictures=pictures))
    storage.write_bytes(file, _page(runs, reference).encode())


# Characters of a label in the legend of the curves.
_LEGEND_WIDTH = 26

# The page. Every text is escaped where it becomes HTML.

_STYLE = """
:root { color-scheme: light; }
body { max-width: 1180px; margin: 0 auto; padding: 1.5rem; color: #222;
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 0 0 .3rem; padding-bottom: .2rem; border-bottom: 1px solid #ccc; }
main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 2rem 2.5rem; }
section { grid-column: 1 / -1; }
p { margin: .3rem 0 .8rem; color: #555; }
.scroll + p { margin-top: 1.2rem; }
.missing { font-style: italic; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #eee; text-align: left; }
th, td { vertical-align: top; }
thead th { font-weight: 600; font-size: .8rem; color: #555; vertical-align: bottom; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 9rem; }
small { display: block; font-weight: 400; color: #777; }
.runs td:nth-child(2) { white-space: nowrap; }
.fields { table-layout: fixed; width: 100%; }
.fields th:first-child { width: 9rem; }
.fields td { background: #fff3c4; border-right: 4px solid #fff; padding-left: .4rem; }
.fields td { overflow-wrap: anywhere; }
dl { columns: 3; column-gap: 2.5rem; margin: .6rem 0 0; font-size: .9rem; }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0; }
dl div { break-inside: avoid; border-bottom: 1px solid #eee; }
dt { color: #555; white-space: nowrap; }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.figures { display: grid; gap: 1.5rem 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.stacked { grid-template-columns: minmax(0, 1fr); }
figure { margin: 0; }
figcaption { font-weight: 600; }
img { display: block; width: 100%; }
@media (min-width: 800px) { .alone .half { grid-column: auto; } }
@media (max-width: 800px) { dl { columns: 1; } }
"""


def _page(runs: Sequence[Run], reference: str) -> str:
    alone = len(runs) == 1
    recipe = runs[0].recipe
    datasets = ", ".join(sorted({run.recipe.dataset for run in runs}))
    title = f"{recipe.baseline}, {recipe.struct}, {datasets}" if alone else f"{len(runs)} runs, {datasets}"
    no_images = "the images are your own, and no file of them was given with --test"
    sections = [
        _section("Result", _result_table(runs)),
        *([] if alone else [_section("Comparison", _comparison(runs, reference))]),
        _section("Learning curves", _curves(runs)),
        _section(
            "Samples",
            "<p>Pixel means at draws of the prior.</p>" + _figures(runs, "samples"),
            "half",
        ),
        _section(
            "Reconstructions",
            "<p>Rows of test images, and below each its reconstruction.</p>"
            + _figures(runs, "reconstructions", no_images),
            "half",
        ),
        *_local_sections(runs),
        _section(
            "Use of the code",
            "<p>Active: q(z = 1 | x) varies over test images, here at most 1,000.</p>"
            + _figures(runs, "usage", "there are no bits, or " + no_images),
            "half",
        ),
        _section(
            "Energies",
            "<p>E(z), or −log p(z) of a directed prior; alike where it fits the codes.</p>"
            + _figures(runs, "energies"),
            "half",
        ),
        _section(
            "Boltzmann machine",
            _figures(runs, "machine", "the prior is directed, without a machine", "figures stacked"),
        ),
        _section("Configuration", _fields(runs, [run.recipe.to_json() for run in runs])),
        _section("Origin", _fields(runs, [_origin(run) for run in runs])),
    ]
    kind = "alone" if alone else "beside"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Whatever a file of a run may hold, the browser fetches nothing and runs no code.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<main class="{kind}">\n{"".join(sections)}</main>\n'
        "</body>\n</html>\n"
    )


def _local_sections(runs: Sequence[Run]) -> list[str]:
    """What is in the bits and what in the local variables, if a run has both."""
    if not any("bits_held" in run.pictures for run in runs):
        return []
    otherwise = "there are no local variables"
    return [
        _section(
            "Bits held",
            "<p>Samples of the prior: bits of each row, local variables drawn anew.</p>"
            + _figures(runs, "bits_held", otherwise),
            "half",
        ),
        _section(
            "Local variables held",
            "<p>Samples of the prior: local noise of each row, bits of each column.</p>"
            + _figures(runs, "local_held", otherwise),
            "half",
        ),
    ]


def _section(title: str, content: str, kind: str = "whole") -> str:
    return f'<section class="{kind}">\n<h2>{title}</h2>\n{content}\n</section>\n'


def _result_table(runs: Sequence[Run]) -> str:
    best: dict[Any, float] = {}
    for run in runs:
        if run.result.log_partition_converged is not False:
            key, nll = _of_one_kind(run), round(run.result.test_nll, 2)
            best[key] = min(nll, best.get(key, nll))
    rows = [_result_row(run, best.get(_of_one_kind(run))) for run in runs]
    columns = (
        "run",
        "test NLL ± standard error over images",
        "Monte Carlo error",
        "log Z ± error",
        "NLL by both sides of log Z",
        "log Z converged",
        "published NLL",
        "active units",
        "K",
        "images",
    )
    return (
        "<p>Nats; in bold the lowest NLL of the same images. The Monte Carlo error is that of the "
        f"measurement.</p>{_table(columns, rows, 'runs')}"
    )


def _of_one_kind(run: Run) -> Any:
    """Equal for runs whose NLLs are compared: of the same images, on one scale."""
    digest = None if run.inputs is None else run.inputs.digests.get("test")
    return run.recipe.dataset, digest, str(comparison.scale(run))


def _result_row(run: Run, best: float | None) -> str:
    result, published = run.result, run.recipe.published
    converged = result.log_partition_converged
    nll = f"{result.test_nll:.2f} ± {result.test_nll_standard_error:.2f}"
    nll += show.bits_text(result.test_bits_per_dim)
    figure = "none" if published is None else f"{published.mean:.2f}"
    if published is not None and published.standard_deviation is not None:
        figure += f" ± {published.standard_deviation}"
    bracket = result.test_nll_bracket
    texts = (
        f"{result.test_nll_monte_carlo_error:.3f}",
        show.log_partition_text(result),
        "not recorded" if bracket is None else "{:.3f} to {:.3f}".format(*bracket),
        "not recorded" if converged is None else "yes" if converged else "no",
        figure,
        _active(result),
        f"{result.eval_iw_samples:,}",
        f"{result.num_test_images:,}",
    )
    is_best = best is not None and converged is not False and round(result.test_nll, 2) == best
    cells = "".join(f"<td>{escape(each)}</td>" for each in texts)
    return (
        f"<tr><th>{escape(run.label)}<small>{escape(str(run.folder))}</small></th>"
        f"<td>{f'<b>{nll}</b>' if is_best else nll}</td>{cells}</tr>"
    )


def _active(result: Result) -> str:
    """Active units of both kinds, with the nats that they take where both are there."""
    text = f"{result.active_units} of {result.num_units}"
    if not result.local_kl:
        return text
    local = ", ".join(f"{kl:.1f}" for kl in result.local_kl)
    return (
        f"{text} bits (KL {result.code_kl:.1f}); {result.active_local_units} of {result.num_local_units} "
        f"local (KL {local})"
    )


def _comparison(runs: Sequence[Run], reference: str) -> str:
    """Runs put together over seeds, and the differences between them."""
    rows = []
    for row in comparison.rows(runs, reference):
        numbers = ("run " if len(row.numbers) == 1 else "runs ") + ", ".join(map(str, row.numbers))
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row.cells)
        label = escape(f"{row.letter}: {row.label}")
        rows.append(f"<tr><th>{label}<small>{numbers}</small></th>{cells}</tr>")
    return f"<p>{escape(comparison.CAPTION)}</p>{_table(('recipe', *comparison.COLUMNS), rows, 'groups')}"


def _table(columns: Sequence[str], rows: Sequence[str], kind: str) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _curves(runs: Sequence[Run]) -> str:
    drawn = {
        textwrap.shorten(run.label, _LEGEND_WIDTH, placeholder=" …"): (run.recipe, run.history)
        for run in runs
        if run.history is not None
    }
    missing = [run for run in runs if run.history is None]
    content = _left_out(missing, "the folder holds no checkpoint, which is where the curves are")
    if drawn:
        content += _figure(plots.curves_png(drawn), "Learning curves")
    return content


def _figures(runs: Sequence[Run], name: str, otherwise: str = "", kind: str = "figures") -> str:
    """One picture of each run, and why others have none."""
    figures = "".join(
        _figure(run.pictures[name], f"{name}, {run.label}", run.label if len(runs) > 1 else "")
        for run in runs
        if name in run.pictures
    )
    blind = _left_out([run for run in runs if not run.pictures], "the folder holds no weights")
    lacking = _left_out([run for run in runs if run.pictures and name not in run.pictures], otherwise)
    return f'{blind}{lacking}<div class="{kind}">{figures}</div>'


def _left_out(runs: Sequence[Run], reason: str) -> str:
    if not runs:
        return ""
    labels = ", ".join(run.label for run in runs)
    return f'<p class="missing">Left out for {escape(labels)} because {escape(reason)}.</p>'


def _figure(png: bytes, alt: str, caption: str = "") -> str:
    source = base64.b64encode(png).decode()
    above = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure>{above}<img alt="{escape(alt)}" src="data:image/png;base64,{source}"></figure>\n'


def _origin(run: Run) -> dict[str, Any]:
    result = run.result
    return {
        "data": result.data_source,
        "steps taken": result.num_steps,
        "best step": result.best_step,
        "training time": _time(result.seconds),
        "test time": _time(result.test_seconds),
        "commit": result.git_commit,
        "processor": result.cpu,
        "device": result.device,
        "schedule": result.schedule,
        "graph": result.graph,
        "versions": result.versions,
    }


def _time(seconds: float | None) -> str:
    return "not recorded" if seconds is None else readable_seconds(seconds)


def _fields(runs: Sequence[Run], records: Sequence[dict[str, Any]]) -> str:
    """The fields in which runs differ, highlighted; then those that they share."""
    first = records[0]
    differing = [name for name in first if any(record[name] != first[name] for record in records)]
    rows = [
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{escape(text(record[name]))}</td>" for record in records)
        + "</tr>"
        for name in differing
    ]
    # Numbers, which the first table explains: eight labels side by side are too wide.
    columns = ("", *(str(run.number) for run in runs))
    table = f"<p>The runs differ in:</p>{_table(columns, rows, 'fields')}<p>They share:</p>"
    shared = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text(value))}</dd></div>"
        for name, value in first.items()
        if name not in differing
    )
    return f"{table if differing else ''}<dl>{shared}</dl>"


if __name__ == "__main__":
    main()
