"""Trains and measures a discrete VAE. Caltech-101 Silhouettes, 28x28 binary pixels.

4,100 training images are few: training is short, so that the learning rate falls before the model has
learnt them by heart, and stops when validation no longer improves.
"""

from . import common


def main() -> None:
    """Entry point."""
    common.run("caltech101_silhouettes", struct="2-layer-nonlin", num_train_iter=5_000, patience=10)


if __name__ == "__main__":
    main()
