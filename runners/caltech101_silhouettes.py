"""Trains and evaluates a discrete VAE on Caltech-101 Silhouettes (28x28 binary pixels).

The training set has only 4,100 images. To limit overfitting, training is short by default and stops when the
validation NLL no longer improves.
"""

from . import common


def main() -> None:
    """Entry point."""
    common.run("caltech101_silhouettes", __doc__, struct="2-layer-nonlin", num_train_iter=5_000, patience=10)


if __name__ == "__main__":
    main()
