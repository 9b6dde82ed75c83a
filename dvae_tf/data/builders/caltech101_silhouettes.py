"""Caltech-101 Silhouettes, 28x28, in the published split."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from .. import digests, mat_files

URL = "https://people.cs.umass.edu/~marlin/data/caltech101_silhouettes_28_split1.mat"
_SHA256 = "eb6735e8d84b1850fabc5590124aab1755e90c9fd28123585324398405e1e42a"
# Split -> prefix of its arrays in the file.
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_SHAPES = {f"{prefix}_data": (prefix, 784) for prefix in _SPLITS.values()} | {
    f"{prefix}_labels": (prefix, 1) for prefix in _SPLITS.values()
}


def identify(path: pathlib.Path) -> str:
    """Checks that a file is the published one."""
    return digests.identify(path, {_SHA256: "the published file"})


class Caltech101Silhouettes(tfds.core.GeneratorBasedBuilder):
    """Silhouettes of 101 classes of objects, 28x28; 4,100 / 2,264 / 2,307 images.

    The background is 1, the object 0, as published.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Optional, for use without a network: {URL} in the folder."

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Silhouettes of the objects of Caltech-101, 28x28 binary pixels.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(28, 28), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=101),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://people.cs.umass.edu/~marlin/data.shtml",
            citation=(
                "B. Marlin, K. Swersky, B. Chen and N. de Freitas. Inductive principles for restricted "
                "Boltzmann machine learning. AISTATS 2010."
            ),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        path = pathlib.Path(dl_manager.download(URL))
        self.info.metadata["source"] = identify(path)
        arrays = mat_files.read(path, _SHAPES)
        return {split: self._generate_examples(arrays, prefix) for split, prefix in _SPLITS.items()}

    def _generate_examples(self, arrays: dict[str, np.ndarray], prefix: str) -> Iterator[tuple[int, dict]]:
        labels = arrays[f"{prefix}_labels"].ravel()
        for index, pixels in enumerate(arrays[f"{prefix}_data"]):
            # Pixels are stored by columns, and classes count from 1.
            yield index, {"image": pixels.reshape(28, 28).T, "label": int(labels[index]) - 1}
