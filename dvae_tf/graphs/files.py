"""Graphs in text files."""

import os
import pathlib

from .graph import Graph, from_edges

_MAX_BYTES = 2**28
_MAX_DIGITS = 9


def read_edges(path: str | os.PathLike[str], num_units: int) -> Graph:
    """Reads a graph from a text file with an edge in each line: two numbers of units, from 0 on.

    Blanks or a comma lie between them; empty lines and what follows a # do not count. The order of the lines
    is that of the couplings of a machine.

    Args:
      path: of the file.
      num_units: D.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if a line holds no edge, or the edges are none of a graph of D units.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"graph: expected a file of edges, or a name of a graph, got {path!s}")
    if file.stat().st_size > _MAX_BYTES:
        raise ValueError(f"graph: expected a file of at most {_MAX_BYTES} bytes, got {path!s}")
    edges = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        good = (word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS for word in words)
        if len(words) != 2 or not all(good):
            raise ValueError(f"graph: expected the two units of an edge in line {number} of {path!s}")
        edges.append((int(words[0]), int(words[1])))
    try:
        return from_edges(num_units, edges)
    except ValueError as error:
        raise ValueError(f"graph: expected the edges of {num_units} units in {path!s}: {error}") from error
