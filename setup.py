"""Packaging: the library, its programs as `dvae_tf.runners`, trained weights as `dvae_tf.pretrained`."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "dvae_tf/__init__.py").read_text())[1]
URL = "https://github.com/dvae-tf/dvae_tf"
DOCS = [
    "latex2mathml",
    "mkdocs-material",
    "mkdocstrings[python]",
]
GRAPHS = [
    "dimod",
    "dwave-networkx",
    "dwave-samplers",
    "networkx",
]
TEST = [
    "dill",
    "hypothesis",
    "mypy",
    *GRAPHS,
    "pytest",
    "pytest-xdist",
    "ruff",
    "setuptools>=77",  # a test builds and installs the package
]

# Results with trained weights, which `models.load` finds by a short name.
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
    author="The dvae_tf authors",
    url=URL,
    project_urls={
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Issues": f"{URL}/issues",
        "Source": URL,
    },
    license="Apache-2.0 AND CC-BY-SA-3.0",  # the latter for the embedded images
    license_files=["LICENSE", "dvae_tf/data/embedded/NOTICE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Science/Research",
        "Natural Language :: English",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Mathematics",
        "Typing :: Typed",
    ],
    keywords=[
        "boltzmann-machine",
        "deep-generative-models",
        "discrete-latent-variables",
        "keras",
        "tensorflow",
        "tensorflow-probability",
        "variational-autoencoder",
    ],
    python_requires=">=3.11,<3.14",
    packages=[
        *setuptools.find_packages(include=["dvae_tf", "dvae_tf.*"]),
        "dvae_tf.runners",
        "dvae_tf.pretrained",
    ],
    # Inside the package, so that no top-level module `runners` is installed.
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
        "importlib_resources",  # tensorflow-datasets needs it without declaring it
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
        "tf-keras>=2.21",  # tensorflow-probability needs it without declaring it
    ],
    extras_require={
        "cuda": ["tensorflow[and-cuda]>=2.21"],
        "docs": DOCS,
        "graphs": GRAPHS,
        "test": TEST,
    },
    entry_points={
        "console_scripts": [
            "dvae-demo = dvae_tf.runners.demo:main",
            "dvae-digits = dvae_tf.runners.digits:main",
            "dvae-binarized-mnist = dvae_tf.runners.binarized_mnist:main",
            "dvae-mnist = dvae_tf.runners.mnist:main",
            "dvae-omniglot = dvae_tf.runners.omniglot:main",
            "dvae-cifar10 = dvae_tf.runners.cifar10:main",
            "dvae-caltech101-silhouettes = dvae_tf.runners.caltech101_silhouettes:main",
            "dvae-custom = dvae_tf.runners.custom:main",
            "dvae-evaluate = dvae_tf.runners.evaluate:main",
            "dvae-export = dvae_tf.runners.export:main",
            "dvae-report = dvae_tf.runners.report:main",
            "dvae-table = dvae_tf.runners.table:main",
        ]
    },
)
