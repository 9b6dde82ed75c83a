"""Trains and measures a discrete VAE. The digits that scikit-learn embeds, 8x8: no download, minutes."""

from . import common


def main() -> None:
    """Entry point."""
    common.run("digits", struct="1-layer-small", num_train_iter=10_000)


if __name__ == "__main__":
    main()
