"""The 8x8 digits of scikit-learn, permuted and split as in `digits.splits`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from .. import digits


class Digits8x8(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits as gray levels in [0, 1], 8x8; 1,297 / 250 / 250 images; needs no file."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The digits that come with scikit-learn, 8x8 gray levels in [0, 1].",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(8, 8), dtype=np.float32),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html",
            citation="E. Alpaydin and C. Kaynak. Optical recognition of handwritten digits. UCI, 1998.",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {name: self._generate_examples(split) for name, split in digits.splits().items()}

    def _generate_examples(self, split: digits.Split) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (probs, label) in enumerate(zip(*split, strict=True)):
            yield index, {"image": probs.reshape(8, 8), "label": int(label)}
