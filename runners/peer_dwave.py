"""Runs the tasks of the graph benchmark with the PyTorch package `dwave-pytorch-plugin`.

The benchmark starts this file with the Python of an environment that has the package and torch, which
computes on a GPU if it finds one. It reads one JSON task per line, first the machine to load, in spins and
with the colors of its graph, then {"task": "gibbs"}, and answers each with one JSON line: the mean energy
after the sweeps.
"""

import json
import sys

import numpy as np
import torch
from dwave.plugins.torch.models import GraphRestrictedBoltzmannMachine
from dwave.plugins.torch.samplers import BlockSampler


def main() -> None:
    """Answers tasks until the input ends."""
    first = json.loads(sys.stdin.readline())
    arrays = np.load(first["file"], allow_pickle=False)
    edges = [tuple(edge) for edge in arrays["edges"].tolist()]
    machine = GraphRestrictedBoltzmannMachine(
        range(len(arrays["fields"])),
        edges,
        linear=dict(enumerate(arrays["fields"].tolist())),
        quadratic=dict(zip(edges, arrays["couplings"].tolist(), strict=True)),
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    machine = machine.to(device)
    sampler = BlockSampler(
        machine,
        arrays["color_of"].tolist().__getitem__,
        num_chains=first["chains"],
        schedule=[1.0] * first["sweeps"],
        seed=0,
    ).to(device)
    print(json.dumps(0.0), flush=True)
    for _ in sys.stdin:
        with torch.no_grad():
            energy = machine(sampler.sample()).mean()
        print(json.dumps(float(energy)), flush=True)


if __name__ == "__main__":
    main()
