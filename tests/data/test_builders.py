"""The builders pass the test suite of TensorFlow Datasets, on small files in the published layouts."""

import pathlib
import tempfile

import numpy as np
import scipy.io
import tensorflow_datasets as tfds

from dvae_tf.data import builders, digits
from dvae_tf.data.builders import caltech101_silhouettes, cifar10_python, omniglot28x28
from support.published import cifar_archive, cifar_batch

_FOLDER = pathlib.Path(tempfile.mkdtemp())


def caltech_file(sizes=(3, 2, 2)):
    """A file in the published layout: column-major pixels, classes from 1."""
    rng = np.random.default_rng(0)
    arrays = {}
    for prefix, size in zip(("train", "val", "test"), sizes, strict=True):
        arrays[f"{prefix}_data"] = rng.integers(0, 2, (size, 784), dtype=np.uint8)
        arrays[f"{prefix}_labels"] = rng.integers(1, 102, (size, 1), dtype=np.uint8)
    return arrays


def omniglot_file(num_train=1_350, num_test=2):
    rng = np.random.default_rng(1)
    return {
        "data": rng.random((784, num_train), np.float32),
        "testdata": rng.random((784, num_test), np.float32),
        "targetchar": rng.integers(0, 50, (1, num_train), dtype=np.int16),
        "testtargetchar": rng.integers(0, 50, (1, num_test), dtype=np.int16),
    }


class _BuilderTest(tfds.testing.DatasetBuilderTestCase):
    EXAMPLE_DIR = str(_FOLDER)

    def setUp(self):
        for module in (caltech101_silhouettes, cifar10_python, omniglot28x28):
            known, module.identify = module.identify, lambda path: "a small file"
            self.addCleanup(setattr, module, "identify", known)
        super().setUp()


class Caltech101SilhouettesTest(_BuilderTest):
    DATASET_CLASS = builders.Caltech101Silhouettes
    SPLITS = {"train": 3, "validation": 2, "test": 2}
    DL_EXTRACT_RESULT = DL_DOWNLOAD_RESULT = "caltech.mat"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scipy.io.savemat(_FOLDER / "caltech.mat", caltech_file())

    def run(self, result=None):
        # The digest in checksums.tsv is that of the published file.
        info = builders.Caltech101Silhouettes.url_infos[caltech101_silhouettes.URL]
        assert (info.checksum, info.size) == (caltech101_silhouettes._SHA256, 872_124)
        return super().run(result)


class Omniglot28x28Test(_BuilderTest):
    DATASET_CLASS = builders.Omniglot28x28
    SPLITS = {"train": 5, "validation": 1_345, "test": 2}
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scipy.io.savemat(_FOLDER / omniglot28x28.FILE, omniglot_file())


class Cifar10PythonTest(_BuilderTest):
    DATASET_CLASS = builders.Cifar10Python
    SPLITS = {"train": 7, "validation": 3, "test": 2}
    DL_EXTRACT_RESULT = DL_DOWNLOAD_RESULT = "cifar.tar.gz"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(2)
        names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
        contents = {name: cifar_batch(rng.integers(0, 256, (2, 3072), np.uint8), [0, 9]) for name in names}
        cifar_archive(_FOLDER / "cifar.tar.gz", contents)

    def setUp(self):
        known = cifar10_python._NUM_VALIDATION
        self.addCleanup(setattr, cifar10_python, "_NUM_VALIDATION", known)
        cifar10_python._NUM_VALIDATION = 3
        super().setUp()


class Digits8x8Test(_BuilderTest):
    DATASET_CLASS = builders.Digits8x8
    SPLITS = {name: len(split.probs) for name, split in digits.splits().items()}


del _BuilderTest
