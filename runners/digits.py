"""Trains and evaluates a discrete VAE on the 8x8 digits of scikit-learn: no download, a few minutes."""

from . import common


def main() -> None:
    """Entry point."""
    common.run("digits", __doc__, struct="1-layer-small", num_train_iter=10_000)


if __name__ == "__main__":
    main()
