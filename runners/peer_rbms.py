"""Runs the tasks of the sampler benchmark with the PyTorch package `rbms`.

The benchmark starts this file with the Python of an environment that has `rbms` and torch, which computes on
a GPU if it finds one. It reads one JSON task per line, first the machine to load, then {"task": "gibbs" |
"ais", ...}, and answers each with one JSON line.
"""

import json
import sys

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.partition_function.ais import compute_partition_function_ais


def main() -> None:
    """Answers tasks until the input ends."""
    first = json.loads(sys.stdin.readline())
    arrays = np.load(first["file"], allow_pickle=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left_bias, right_bias, weights = (
        torch.from_numpy(arrays[name]).to(device) for name in ("left_bias", "right_bias", "weights")
    )
    machine = BBRBM(weight_matrix=weights, vbias=left_bias, hbias=right_bias)
    chains = machine.init_chains(first["chains"])
    print(json.dumps(0.0), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        if task["task"] == "gibbs":
            answer = float(machine.sample_state(chains, task["sweeps"])["visible"].mean())
        else:
            torch.manual_seed(task["seed"])
            answer = float(compute_partition_function_ais(task["chains"], task["temperatures"], machine))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
