"""Trains and measures a discrete VAE. OMNIGLOT, 28x28 grey levels, binarised afresh for every batch.

The file is `chardata.mat`; the run says which of the known files it read.
"""

from . import common


def main() -> None:
    """Entry point."""
    common.run("omniglot", struct="2-layer-nonlin", num_train_iter=1_000_000)


if __name__ == "__main__":
    main()
