"""Two processes on one run folder: the second is refused and changes nothing."""

import os
import signal
import subprocess
import sys

import pytest

from dvae_tf import training
from dvae_tf.runs import RunFolder
from support import killed_run, programs
from support.runs import content
from support.tiny import recipe
from support.training import tiny_images

HOLDER = """
import sys, time
from dvae_tf.runs import RunFolder
with RunFolder(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.bind(recipe(**killed_run.SMALL))
    return run


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
    assert content(folder).keys() == {"config.json"}
    with folder.lock():
        pass


def test_a_lock_that_cannot_be_is_an_error_that_names_the_folder(folder):
    (folder.path / ".lock").mkdir()
    with pytest.raises(PermissionError, match=f"log_dir: cannot write to {folder.path}"), folder.lock():
        pass
