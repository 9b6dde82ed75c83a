"""The devices to train on: one, all of this machine, or those of several machines."""

import json
import os

import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multi_worker")
# TensorFlow reads the cluster from this environment variable.
_VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'


def num_replicas(strategy: str, requested: int | None) -> int:
    """The number of replicas of a run: as requested, or one per device.

    Raises:
      ValueError: if the strategy is unknown or has another number of devices, or if there are none to count.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: expected one of {', '.join(STRATEGIES)}; got {strategy!r}")
    if strategy == "none":
        return requested or 1
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if strategy == "mirrored":
        if not (requested or num_gpus):
            raise ValueError("num_replicas: expected a number, because there is no GPU to count; got none")
        if num_gpus and requested and requested > num_gpus:
            raise ValueError(f"num_replicas: expected at most the {num_gpus} GPU(s), got {requested}")
        return requested or num_gpus
    found = _num_workers() * max(num_gpus, 1)
    if requested not in (None, found):
        raise ValueError(
            f"num_replicas: expected {found}, the number of devices of all workers; got {requested}"
        )
    return found


def make_strategy(strategy: str, num_replicas: int) -> tf.distribute.Strategy | None:
    """Creates the strategy, before any other use of TensorFlow. Without GPUs, CPU cores are the devices."""
    if strategy == "none":
        return None
    if strategy == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    kind = "GPU"
    if not tf.config.list_physical_devices(kind):
        kind = "CPU"
        parts = [tf.config.LogicalDeviceConfiguration()] * num_replicas
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices(kind)[0], parts)
    return tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(num_replicas)])


def _num_workers() -> int:
    try:
        workers = json.loads(os.environ[_VARIABLE])["cluster"]["worker"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{_VARIABLE}: expected {_EXAMPLE} in the environment, got {os.environ.get(_VARIABLE)!r}"
        ) from error
    return len(workers)
