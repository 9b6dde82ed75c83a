"""Provenance of a number: versions of the packages, commit of the code, processor and device."""

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

import tensorflow as tf

from .. import __version__

_PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


def describe() -> dict[str, Any]:
    """Returns `versions`, `git_commit`, `cpu` and `device`; None for what cannot be determined."""
    return {"versions": versions(), "git_commit": git_commit(), "cpu": cpu(), "device": device()}


def versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that the numbers depend on."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "dvae_tf": __version__,
    }
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def git_commit() -> str | None:
    """The commit of the checkout that holds this package, with `+changes` if files of the package differ."""
    folder = pathlib.Path(__file__).parents[1]

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def cpu() -> str | None:
    """The processor's name and the number of cores in use."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        return f"{name}, {sum(line.startswith('processor') for line in lines)} cores"
    except (OSError, StopIteration):
        return platform.processor() or None


def device() -> str | None:
    """What computes: the first GPU that TensorFlow sees and its driver, otherwise the processor."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return cpu()
    name = tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU")
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        found = []
    return f"{name}, driver {found[0]}" if found else name
