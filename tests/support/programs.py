"""Runs a program of the library as a user does: in a process of its own.

Importing TensorFlow takes most of the time of a short program, so the processes are forked from one that has
imported it and done nothing else; `fresh=True` starts one from nothing.
"""

import atexit
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]

_NURSERY = """
import json, os, runpy, signal, sys, traceback
import dvae_tf.training, matplotlib.pyplot, rich.progress, tensorflow_datasets

for line in sys.stdin:
    module, arguments, folder, out, err, timeout = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    signal.alarm(timeout)
    os.chdir(folder)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = [module, *arguments]
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
        code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""


def run(module, *flags, code=0, cwd=ROOT, timeout=240, fresh=False):
    """Runs `runners.<module>`; returns what it wrote to its two outputs."""
    found, out, err = call(f"runners.{module}", *flags, cwd=cwd, timeout=timeout, fresh=fresh)
    assert found == code, out[-2000:] + err[-2000:]
    return out, err


def call(module, *arguments, cwd=ROOT, timeout=240, fresh=False):
    """Runs a module; returns its exit code (negative: the signal that killed it) and its two outputs."""
    if not fresh:
        return _forked(module, arguments, cwd, timeout)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env=environment(),
    )
    return done.returncode, done.stdout, done.stderr


def environment():
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"}


@functools.cache
def _nursery():
    # Processes share compiled programs.
    cache = tempfile.TemporaryDirectory()
    atexit.register(cache.cleanup)
    return subprocess.Popen(
        [sys.executable, "-c", _NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment() | {"TF_XLA_FLAGS": f"--tf_xla_persistent_cache_directory={cache.name}"},
    )


def _forked(module, flags, cwd, timeout):
    nursery = _nursery()
    with tempfile.TemporaryDirectory() as folder:
        out, err = (pathlib.Path(folder) / name for name in ("out", "err"))
        nursery.stdin.write(json.dumps([module, flags, str(cwd), str(out), str(err), timeout]) + "\n")
        nursery.stdin.flush()
        code = int(nursery.stdout.readline())
        return code, out.read_text(), err.read_text()
