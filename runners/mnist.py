"""Trains and evaluates a discrete VAE on MNIST (28x28 gray levels, binarized anew for each batch).

With a likelihood of levels (--likelihood=logistic_mixture) the gray levels are kept. `binarized_mnist`, whose
bits are drawn once for all, needs no file.
"""

from . import common


def main() -> None:
    """Entry point."""
    common.run("mnist", __doc__, struct="2-layer-nonlin", num_train_iter=1_000_000)


if __name__ == "__main__":
    main()
