"""Trains and evaluates a discrete VAE on CIFAR-10 (32x32 pixels in color, 8 bits a channel).

The data are read from `cifar-10-python.tar.gz`. Results are in nats and in bits per dimension.
"""

from . import common


def main() -> None:
    """Entry point."""
    common.run(
        "cifar10", __doc__, struct="2-layer-nonlin", num_train_iter=1_000_000, likelihood="logistic_mixture"
    )


if __name__ == "__main__":
    main()
