"""Pictures of runs, models and machines, each as the content of a PNG file."""

from .curves import curves_png, learning_curve_png, race_png
from .machine import energies_png, graph_png, machine_png, usage_png
from .model import report_pictures, run_pictures
from .png import figure_png, own_style, pixels_png
from .sheets import interleave, sheet_png, tile, titled_sheet_png

__all__ = [
    "curves_png",
    "energies_png",
    "figure_png",
    "graph_png",
    "interleave",
    "learning_curve_png",
    "machine_png",
    "own_style",
    "pixels_png",
    "race_png",
    "report_pictures",
    "run_pictures",
    "sheet_png",
    "tile",
    "titled_sheet_png",
    "usage_png",
]
