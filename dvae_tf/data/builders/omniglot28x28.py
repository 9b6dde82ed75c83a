"""OMNIGLOT, 28x28 gray levels, from a file in the layout of `chardata.mat`."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from .. import digests, mat_files

URL = "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/chardata.mat"
FILE = "chardata.mat"
_SHAPES = {
    "data": (784, "train"),
    "targetchar": (1, "train"),
    "testdata": (784, "test"),
    "testtargetchar": (1, "test"),
}
# The last training images of the file.
_NUM_VALIDATION = 1_345
_GIT_BLOB_ID = "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"
_RESAMPLED_SHA256 = "277a9fd465c45746250d1b0c79f1c14df985d27b2190c3a45efb2502027de8f4"


def identify(path: pathlib.Path) -> str:
    """Checks that a file is one of the two known ones, and returns which.

    Likelihoods on the resampled one are not comparable with those of the papers.
    """
    return digests.identify(
        path,
        {_RESAMPLED_SHA256: "drawings downsampled anew (not comparable with published figures)"},
        {_GIT_BLOB_ID: "the published file"},
    )


class Omniglot28x28(tfds.core.GeneratorBasedBuilder):
    """Handwritten characters of 50 alphabets as gray levels in [0, 1]; 23,000 / 1,345 / 8,070 images.

    The published file has two splits; the last 1,345 images of the first are the validation images.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Optional, for use without a network: {FILE} of {URL} in the folder."

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten characters of 50 alphabets, 28x28 gray levels in [0, 1].",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(28, 28), dtype=np.float32, encoding="zlib"),
                    "character": tfds.features.Scalar(dtype=np.int64),
                }
            ),
            homepage="https://github.com/brendenlake/omniglot",
            citation=(
                "B. M. Lake, R. Salakhutdinov and J. B. Tenenbaum. Human-level concept learning through "
                "probabilistic program induction. Science 350, 2015."
            ),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        path = _by_hand(dl_manager) or pathlib.Path(dl_manager.download(URL))
        self.info.metadata["source"] = identify(path)
        arrays = mat_files.read(path, _SHAPES)
        pixels, characters = arrays["data"].T, arrays["targetchar"].ravel()
        first = len(pixels) - _NUM_VALIDATION
        return {
            "train": self._generate_examples(pixels[:first], characters[:first]),
            "validation": self._generate_examples(pixels[first:], characters[first:]),
            "test": self._generate_examples(arrays["testdata"].T, arrays["testtargetchar"].ravel()),
        }

    def _generate_examples(
        self, pixels: np.ndarray, characters: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (row, character) in enumerate(zip(pixels, characters, strict=True)):
            # Pixels are stored by columns.
            image = row.reshape(28, 28).T.astype(np.float32)
            yield index, {"image": image, "character": int(character)}


def _by_hand(dl_manager: tfds.download.DownloadManager) -> pathlib.Path | None:
    """Returns the file in `manual_dir`, where TFDS itself finds only files whose SHA-256 it knows."""
    try:
        path = pathlib.Path(dl_manager.manual_dir) / FILE
    except AssertionError:  # There is no such folder.
        return None
    return path if path.is_file() else None
