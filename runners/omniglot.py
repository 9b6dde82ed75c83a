"""Trains and evaluates a discrete VAE on OMNIGLOT (28x28 gray levels, binarized anew for each batch).

The data are read from `chardata.mat`; the run reports which of the known versions of that file it found.
"""

from . import common


def main() -> None:
    """Entry point."""
    common.run("omniglot", __doc__, struct="2-layer-nonlin", num_train_iter=1_000_000)


if __name__ == "__main__":
    main()
