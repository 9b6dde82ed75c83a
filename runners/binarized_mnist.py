"""Trains and measures a discrete VAE. Statically binarised MNIST, 28x28, which comes with the package."""

from . import common


def main() -> None:
    """Entry point."""
    common.run("binarized_mnist", struct="2-layer-nonlin", num_train_iter=1_000_000)


if __name__ == "__main__":
    main()
