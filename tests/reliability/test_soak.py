"""A training killed at moments that nobody chose, again and again."""

import json
import random
import signal
import subprocess
import sys

import pytest

from support import programs, runs

# Enough steps for a run to outlive several kills.
OPTIONS = {
    "struct": "tiny-2",
    "k": 5,
    "num_train_iter": 6000,
    "num_validations": 30,
    "num_tracking_chains": 20,
}


@pytest.mark.soak
@pytest.mark.parametrize("sampler", ["pcd", "pa", "pt"])
def test_killed_again_and_again_it_ends_the_same(sampler, tmp_path):
    options = json.dumps({**OPTIONS, "sampler": sampler})
    assert runs.train(tmp_path / "whole", timeout=3600, **json.loads(options))[0] == 0
    rng, kills = random.Random(sampler), 0
    while not (tmp_path / "parts" / "result.json").exists():
        command = [sys.executable, "-m", "support.killed_run", str(tmp_path / "parts"), options]
        running = subprocess.Popen(command, env=programs.environment(), stderr=subprocess.DEVNULL)
        try:
            # Longer from time to time, so that it gets somewhere.
            assert running.wait(rng.uniform(1, 40 + 10 * kills)) == 0
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += 1
    assert kills > 2
    assert not runs.differences(runs.final(tmp_path / "whole"), runs.final(tmp_path / "parts"))
