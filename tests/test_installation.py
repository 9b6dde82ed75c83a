"""The source distribution and the wheel work outside of the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from support import help

ROOT = pathlib.Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def run(*command, cwd, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=inherited | {"TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"} | environment,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the source distribution, which is built from a copy of what git tracks, roughly."""
    folder = tmp_path_factory.mktemp("build")
    source, dist = folder / "source", folder / "dist"
    source.mkdir()
    for path in ROOT.iterdir():
        if path.is_dir() and not path.name.startswith(".") and path.name not in ("runs", "build", "dist"):
            shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copy(path, source)
    run(sys.executable, "-c", f"import setuptools.build_meta as b; b.build_sdist({str(dist)!r})", cwd=source)
    (sdist,) = dist.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(*pip, f"--wheel-dir={dist}", sdist, cwd=folder)
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of an installation."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    run(*pip, f"--target={folder}", wheel, cwd=folder)
    return folder


def python(installed, cwd, code):
    return run(sys.executable, "-c", code, cwd=cwd, PYTHONPATH=str(installed))


def test_the_wheel_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"dvae_tf"}
    assert "dvae_tf/py.typed" in names


def test_the_library_works(installed, tmp_path):
    out = python(
        installed,
        tmp_path,
        "import sys, dvae_tf\n"
        "print(dvae_tf.__file__)\n"
        "print('tensorflow' in sys.modules)\n"
        "print(dvae_tf.smoothing.Power.__module__)\n"
        "for name in ('digits', 'binarized_mnist'):\n"
        "    images = dvae_tf.data.load(name)\n"
        "    print(len(images.train) + len(images.validation) + len(images.test))\n"
        "for name in dvae_tf.models.PRETRAINED:\n"
        "    print(dvae_tf.models.load(name).sample(2, seed=(0, 1)).images.shape)\n",
    )
    file, *lines = out.splitlines()
    assert pathlib.Path(file) == installed / "dvae_tf" / "__init__.py"
    assert lines == [
        "False",
        "dvae_tf.smoothing.power",
        "1797",
        "70000",
        "(2, 784)",
        "(2, 784)",
        "(2, 64)",
        "(2, 784)",
    ]


def test_there_is_a_console_script_for_each_program(installed):
    scripts = {path.name for path in (installed / "bin").glob("dvae-*")}
    assert scripts == {f"dvae-{module.replace('_', '-')}" for module in help.PROGRAMS}


@pytest.mark.parametrize("module", help.PROGRAMS)
def test_help_of_a_console_script(module, installed, tmp_path):
    script = installed / "bin" / f"dvae-{module.replace('_', '-')}"
    help.check(module, run(script, "--help", cwd=tmp_path, PYTHONPATH=str(installed)))


def test_a_console_script_runs(installed, tmp_path):
    out = run(installed / "bin" / "dvae-digits", "--dry_run", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "Parameters: 12,928" in out
