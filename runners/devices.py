"""Which devices train: one, all of this machine, or those of several machines."""

import json
import os

import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multi_worker")
# What TensorFlow takes the cluster from.
_VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'


def num_replicas(strategy: str, asked: int | None) -> int:
    """The replicas of a run: as asked, or as many as there are devices.

    Raises:
      ValueError: if the strategy is unknown, or has another number of devices, or there is nothing to count.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: expected one of {', '.join(STRATEGIES)}; got {strategy!r}")
    if strategy == "none":
        return asked or 1
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if strategy == "mirrored":
        if not (asked or num_gpus):
            raise ValueError("num_replicas: expected a number, for there is no GPU to count; got none")
        if num_gpus and asked and asked > num_gpus:
            raise ValueError(f"num_replicas: expected at most the {num_gpus} GPU(s), got {asked}")
        return asked or num_gpus
    found = _num_workers() * max(num_gpus, 1)
    if asked not in (None, found):
        raise ValueError(f"num_replicas: expected {found}, the devices of all workers; got {asked}")
    return found


def make_strategy(strategy: str, num_replicas: int) -> tf.distribute.Strategy | None:
    """The strategy; before anything else is asked of TensorFlow. Without GPUs, cores act as devices."""
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
