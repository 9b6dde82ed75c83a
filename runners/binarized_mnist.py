"""Trains and evaluates a discrete VAE on statically binarized MNIST (28x28), embedded in the package."""

from . import common


def main() -> None:
    """Entry point."""
    common.run("binarized_mnist", __doc__, struct="2-layer-nonlin", num_train_iter=1_000_000)


if __name__ == "__main__":
    main()
