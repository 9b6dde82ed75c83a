"""Headline cells of the papers' tables as trained weights, by the short names that `load` takes."""

import pathlib

_PACKAGE = pathlib.Path(__file__).parents[1]
# An installation carries the cells inside the package; a checkout has them among its results.
_PLACES = (_PACKAGE / "pretrained", _PACKAGE.parent / "results")

# name -> dataset / struct / cell.
PRETRAINED = {
    "binarized_mnist": "binarized_mnist/2-layer-nonlin/dvaes_power-k1-100000-seed0",
    "digits": "digits/1-layer-small/dvaes_power-k5-8000-seed0",
    "omniglot": "omniglot/2-layer-nonlin/gumbolt-k1-50000-seed0",
}


def pretrained_folder(name: str) -> pathlib.Path | None:
    """The folder of a cell's configuration and weights; None if the name is not a key of `PRETRAINED`.

    Raises:
      FileNotFoundError: if the cell is not there: neither an installation nor a whole checkout.
    """
    if name not in PRETRAINED:
        return None
    folders = [place / PRETRAINED[name] for place in _PLACES]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}: expected its weights in one of {', '.join(map(str, folders))}")
