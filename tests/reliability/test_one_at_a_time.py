"""Two processes on one run folder: the second is refused and changes nothing."""

import os
import signal
import subprocess
import sys

import pytest

from dvae_tf import training
from dvae_tf.runs import RunFolder
from support import killed_run, programs
from support.runs import bound, content
from support.tiny import recipe
from support.training import tiny_images

HOLDER = """
import sys, time
from dvae_tf.runs import RunFolder
with RunFolder(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(600)
"""

# Two processes start in a new folder at the same moment, as often as it says.
RACE = """
import multiprocessing, pathlib, sys
from dvae_tf import config, runs

RECIPE = config.recipe("digits", "1-layer-small", "gumbolt", k=1)
INPUTS = runs.Inputs("a test", (8, 8), {"train": "00"}, {})

def start(path, barrier, refused, said):
    folder = runs.RunFolder(path)
    barrier.wait()
    try:
        folder.check(RECIPE, INPUTS)
        with folder.lock():
            folder.bind(RECIPE, INPUTS)
            said.put("alone" if refused.wait(20) else "not alone")
    except Exception as error:
        refused.set()
        said.put(f"{type(error).__name__}: {error}")

for number in range(int(sys.argv[2])):
    path = pathlib.Path(sys.argv[1], str(number), "run")
    barrier, refused, said = multiprocessing.Barrier(2), multiprocessing.Event(), multiprocessing.Queue()
    both = [multiprocessing.Process(target=start, args=(path, barrier, refused, said)) for _ in range(2)]
    for each in both:
        each.start()
    words = sorted(said.get() for _ in both)
    for each in both:
        each.join()
    assert words == [f"PermissionError: log_dir: another process is training in {path}", "alone"], words
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "inputs.json"]
    assert (runs.read_recipe(path), runs.read_inputs(path)) == (RECIPE, INPUTS)
print("done")
"""


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_of_two_starts_at_the_same_moment_one_wins_and_nothing_is_lost(tries, tmp_path):
    command = [sys.executable, "-c", RACE, str(tmp_path), str(tries)]
    done = subprocess.run(command, capture_output=True, text=True, env=programs.environment(), timeout=240)
    assert done.stdout == "done\n", done.stderr


@pytest.fixture
def folder(tmp_path):
    return bound(tmp_path / "run", recipe(**killed_run.SMALL), tiny_images(100))


@pytest.fixture
def holder(folder):
    """Another process, which holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)],
        stdout=subprocess.PIPE,
        text=True,
        env=programs.environment(),
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_is_refused_and_changes_nothing_until_the_first_is_gone(folder, holder):
    before = content(folder)
    with pytest.raises(PermissionError, match=f"log_dir: another process is training in {folder.path}"):
        training.train(recipe(**killed_run.SMALL), tiny_images(100), str(folder.path))
    assert content(folder) == before
    with RunFolder(folder.path, is_writer=False).lock():
        pass  # a worker that does not write
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with folder.lock():
        pass


def test_the_hold_ends_with_an_error(folder):
    with pytest.raises(RuntimeError), folder.lock():
        raise RuntimeError
    assert content(folder).keys() == {"config.json", "inputs.json"}
    with folder.lock():
        pass


def test_a_lock_that_cannot_be_is_an_error_that_names_the_folder(folder):
    (folder.path / ".lock").mkdir()
    with pytest.raises(PermissionError, match=f"log_dir: cannot write to {folder.path}"), folder.lock():
        pass
