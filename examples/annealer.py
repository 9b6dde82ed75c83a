"""A prior on a Zephyr graph trained by an annealer: simulated annealing of D-Wave's tools stands in for it.

It draws at a temperature of its own, as hardware does. Training estimates it and divides it out. Given the
folder of a finished run on the graph of an annealer, it continues the training of that run.
"""

import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Callable

import keras
import numpy as np
from dwave.samplers import SimulatedAnnealingSampler

from dvae_tf import config, data, graphs, runs, samplers, training


def annealer(graph: graphs.Graph, num_sweeps: int = 50) -> Callable[..., np.ndarray]:
    """A function that draws states of machines on a graph; its schedule ends at inverse temperature 2."""
    solver = SimulatedAnnealingSampler()

    def sample(biases: np.ndarray, couplings: np.ndarray, num_chains: int, seed: int) -> np.ndarray:
        found = solver.sample(
            graphs.to_bqm(graph, biases, couplings, vartype="SPIN"),
            num_reads=num_chains,
            num_sweeps=num_sweeps,
            beta_range=(0.1, 2.0),
            beta_schedule_type="linear",
            seed=seed,
        )
        return graphs.states_of(found)

    return sample


def recipe_of(num_steps: int, folder: str | None) -> config.Recipe:
    """A recipe for the digits; or that of a finished run, to go on at a tenth of its learning rate."""
    if folder is not None:
        before = runs.read_recipe(pathlib.Path(folder))
        changes = {"num_train_iter": num_steps, "base_lr": before.base_lr / 10, "init_from": folder}
        return dataclasses.replace(before, num_validations=5, **changes)
    return config.recipe(
        "digits", "1-layer-small", "dvaes_power", k=1, num_train_iter=num_steps, num_validations=10,
        ais_temperatures=2_000, validation_ais_temperatures=200, units=64, graph="zephyr",
    )  # fmt: skip


def main(num_steps: int = 1_000, folder: str | None = None, out: str | None = None) -> None:
    """Trains, and measures the test images."""
    recipe = recipe_of(num_steps, folder)
    graph = graphs.fitted(recipe.graph, recipe.structure.num_units)
    temperature = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print(
            f"step {int(logs['step']):,}: validation NLL {logs['val_nll']:.2f}, inverse temperature "
            f"{logs['beta_eff']:.3f} ± {logs['beta_eff_standard_error']:.3f}"
        )
    )
    with tempfile.TemporaryDirectory() as elsewhere:
        found = training.train(
            recipe,
            data.load(recipe.dataset),
            out or elsewhere,
            callbacks=[temperature],
            verbose=False,
            sampler=samplers.External(annealer(graph)),
        )
    low, high = sorted(found.test_nll_bracket)
    print(f"test NLL {found.test_nll:.2f} ± {found.test_nll_standard_error:.2f} nats")
    print(f"between {low:.2f} and {high:.2f} at the bounds of log Z ({found.log_partition_method})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
