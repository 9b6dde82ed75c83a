"""Packaging: the library, and the runners as `dvae_tf.runners`."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "dvae_tf/__init__.py").read_text())[1]
TEST = [
    "dill",
    "hypothesis",
    "mypy",
    "pytest",
    "pytest-xdist",
    "ruff",
]

# Cells that carry their weights; `models.load` finds them by a short name.
PRETRAINED = [
    str(file.relative_to(ROOT / "results"))
    for weights in (ROOT / "results").glob("*/*/*/weights.npz")
    for file in (weights, weights.with_name("config.json"), weights.with_name("result.json"))
]

setuptools.setup(
    name="dvae_tf",
    version=VERSION,
    description="Variational autoencoders with a binary code and a Boltzmann-machine prior",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[
        *setuptools.find_packages(include=["dvae_tf", "dvae_tf.*"]),
        "dvae_tf.runners",
        "dvae_tf.pretrained",
    ],
    # Shipped inside the package, so that no top-level `runners` lands among other people's packages.
    package_dir={"dvae_tf.runners": "runners", "dvae_tf.pretrained": "results"},
    package_data={
        "dvae_tf": ["py.typed"],
        "dvae_tf.data.builders": ["checksums.tsv"],
        "dvae_tf.data.embedded": ["NOTICE", "binarized_mnist.bz2"],
        "dvae_tf.pretrained": PRETRAINED,
    },
    install_requires=[
        "absl-py",
        "filelock",
        "importlib_resources",  # tensorflow-datasets needs it and does not say so
        "keras>=3.15",
        "matplotlib",
        "numpy>=2",
        "rich",
        "scikit-learn",
        "scipy",
        "tensorboard",
        "tensorflow>=2.21",
        "tensorflow-datasets>=4.9.10",
        "tensorflow-probability>=0.25",
        "tf-keras>=2.21",  # tensorflow-probability does not import without it
    ],
    extras_require={"cuda": ["tensorflow[and-cuda]>=2.21"], "test": TEST},
    entry_points={
        "console_scripts": [
            "dvae-demo = dvae_tf.runners.demo:main",
            "dvae-digits = dvae_tf.runners.digits:main",
            "dvae-binarized-mnist = dvae_tf.runners.binarized_mnist:main",
            "dvae-omniglot = dvae_tf.runners.omniglot:main",
            "dvae-caltech101-silhouettes = dvae_tf.runners.caltech101_silhouettes:main",
            "dvae-custom = dvae_tf.runners.custom:main",
            "dvae-evaluate = dvae_tf.runners.evaluate:main",
            "dvae-export = dvae_tf.runners.export:main",
            "dvae-table = dvae_tf.runners.table:main",
        ]
    },
)
