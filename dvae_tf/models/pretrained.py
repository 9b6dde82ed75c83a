"""Trained weights of headline cells, by the short names that `models.load` takes."""

import pathlib

_PACKAGE = pathlib.Path(__file__).parents[1]
# An installation has the weights inside of the package, a checkout among its results.
_PLACES = (_PACKAGE / "pretrained", _PACKAGE.parent / "results")

# name -> dataset / struct / cell.
PRETRAINED = {
    "binarized_mnist": "binarized_mnist/2-layer-nonlin/dvaes_power-k1-100000-seed0",
    "binarized_mnist_gumbolt": "binarized_mnist/2-layer-nonlin/gumbolt-best-k1-90000-seed0",
    "digits": "digits/1-layer-small/dvaes_power-k5-8000-seed0",
    "omniglot": "omniglot/2-layer-nonlin/gumbolt-k1-50000-seed0",
}


def pretrained_folder(name: str) -> pathlib.Path | None:
    """The folder with configuration and weights of a short name; None if it is not a key of `PRETRAINED`.

    Raises:
      FileNotFoundError: if the weights are missing: neither an installation nor a complete checkout.
    """
    if name not in PRETRAINED:
        return None
    folders = [place / PRETRAINED[name] for place in _PLACES]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}: expected its weights in one of {', '.join(map(str, folders))}")
