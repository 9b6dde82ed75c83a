"""CIFAR-10, 32x32 pixels in color, from the published archive of pickled batches."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds

from .. import cifar_batches, digests

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_FOLDER = "cifar-10-batches-py"
_TRAIN = [f"{_FOLDER}/data_batch_{number}" for number in range(1, 6)]
_TEST = [f"{_FOLDER}/test_batch"]
# The last training images of the archive.
_NUM_VALIDATION = 5_000
_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def identify(path: pathlib.Path) -> str:
    """Checks that a file is the published one."""
    return digests.identify(path, {_SHA256: "the published file"})


class Cifar10Python(tfds.core.GeneratorBasedBuilder):
    """Photographs of ten classes of things, 32x32 in color; 45,000 / 5,000 / 10,000 images.

    The archive has two splits; the last 5,000 images of the first are the validation images.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Optional, for use without a network: {URL} in the folder."

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Photographs of ten classes of things, 32x32 pixels in color.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(32, 32, 3)),
                    "label": tfds.features.ClassLabel(names=_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            citation="A. Krizhevsky. Learning multiple layers of features from tiny images. 2009.",
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        path = pathlib.Path(dl_manager.download(URL))
        self.info.metadata["source"] = identify(path)
        *train, test = cifar_batches.read(path, [*_TRAIN, *_TEST])
        examples = [example for batch in train for example in _examples(batch)]
        first = len(examples) - _NUM_VALIDATION
        return {
            "train": self._generate_examples(examples[:first]),
            "validation": self._generate_examples(examples[first:]),
            "test": self._generate_examples(_examples(test)),
        }

    def _generate_examples(self, examples: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(examples)


def _examples(batch: cifar_batches.Batch) -> list[dict[str, Any]]:
    return [{"image": pixels, "label": int(label)} for pixels, label in zip(*batch, strict=True)]
