"""The user's surroundings: home folder, encoding, pipes, folders of others."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from dvae_tf import config, data
from runners import common
from support.programs import ROOT, environment, run
from support.runs import bound, content

QUICK = ("--struct=1-layer-small", "--num_train_iter=20", "--num_validations=1", "--num_chains=10")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with images, and the folder in which programs are started."""
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("train", "test", "other"):
        np.save(home / f"{name}.npy", rng.integers(0, 2, (200, 5, 5), np.uint8))
    return home, here


def start(module, *flags, cwd, **variables):
    command = [sys.executable, "-m", f"runners.{module}", *flags]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment() | variables, timeout=240
    )


@pytest.mark.soak
def test_a_tilde_is_expanded_wherever_a_program_takes_a_path(home):
    home, here = home
    images = ("--train=~/train.npy", "--test=~/test.npy", "--eval_iw_samples=10")
    done = start("custom", *images, *QUICK, "--log_dir=~/run", cwd=here, HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert f"Run folder: {home}/run" in done.stdout
    for module, flags, written in (
        ("evaluate", ("--test=~/test.npy", "--eval_iw_samples=5", "--ais_temperatures=10"), None),
        ("export", ("--out=~/saved", "--iw_samples=5", "--num_sweeps=5", "--ais_temperatures=0"), "saved"),
        ("report", ("--out=~/page.html", "--test=~/test.npy"), "page.html"),
        ("publish", ("--results_dir=~/results",), "results"),
    ):
        done = start(module, "--log_dir=~/run", *flags, cwd=here, HOME=str(home))
        assert done.returncode == 0, done.stderr
        assert written is None or (home / written).exists()
    assert not list(here.iterdir())


def test_a_run_of_other_images_is_refused_before_anything_else_is_said(home):
    home, here = home
    arrays = {split: np.load(home / f"{split}.npy") for split in ("train", "test")}
    images = data.from_arrays(**arrays, source="train.npy, test.npy")
    numbers = {"num_train_iter": 20, "num_validations": 1, "num_chains": 10}
    settings = config.recipe(
        "custom", "1-layer-small", "dvaes_power", k=1, dynamic_binarization=False, **numbers
    )
    folder = bound(home / "run", settings, images)
    before = content(folder)
    flags = [f"--test={home / 'test.npy'}", f"--log_dir={folder.path}", *QUICK]
    run("custom", f"--train={home / 'train.npy'}", *flags, "--dry_run", cwd=here)
    for extra in ([], ["--dry_run"]):
        out, err = run("custom", f"--train={home / 'other.npy'}", *flags, *extra, code=2, cwd=here)
        assert not out
        assert "train images: folder has those of train.npy, test.npy" in err
        assert f"requested others, of {home}/other.npy" in err
    assert content(folder) == before


def test_a_dry_run_makes_the_checks_of_a_run(home):
    home, here = home
    flags = [f"--train={home / 'train.npy'}", f"--test={home / 'test.npy'}", *QUICK, "--dry_run"]
    (home / "file").write_text("mine")
    for flag, message in (
        (f"--log_dir={home / 'file' / 'run'}", "log_dir: cannot write to"),
        ("--train_batchsize=500", "train_batchsize: expected at most the 180 training images, got 500"),
    ):
        _, err = run("custom", *flags, flag, code=2, cwd=here)
        assert message in err
    run("custom", *flags, f"--log_dir={home / 'new' / 'run'}", cwd=here)
    assert sorted(file.name for file in home.iterdir()) == ["file", "other.npy", "test.npy", "train.npy"]
    assert not list(here.iterdir())


def test_characters_that_an_encoding_lacks_are_replaced(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    with common._forgiving_output():
        print("log Z 1 ± 2")
    assert out.buffer.getvalue() == b"log Z 1 ? 2\n"


def test_a_reader_that_has_gone_is_no_error(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    with pytest.raises(SystemExit) as left, common._forgiving_output():
        print("a line")
    assert left.value.code == 128 + signal.SIGPIPE
    print("nobody reads this, and nothing fails", flush=True)
    sys.stdout.close()


@pytest.mark.slow
def test_ascii_and_pipes_from_a_shell(home):
    home, here = home
    images = (f"--train={home / 'train.npy'}", f"--test={home / 'test.npy'}", "--eval_iw_samples=10")
    done = start("custom", *images, *QUICK, "--log_dir=run", cwd=here, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "(over images)" in done.stdout
    command = f"{sys.executable} -m runners.digits --help | head -1"
    shell = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert shell.stdout.startswith("Trains and evaluates")
    assert not shell.stderr


def test_help_says_how_a_comma_is_quoted():
    out, _ = run("report", "--help")
    assert """--log_dir='"runs/k=1,beta=30",runs/b'""" in " ".join(out.split())
