"""The package by itself: cheap to import, every subpackage within reach."""

import ast
import pathlib
import subprocess
import sys

import pytest

import dvae_tf

ROOT = pathlib.Path(dvae_tf.__file__).parent
# Only in an installation, where they are subpackages.
_INSTALLED = {"runners", "pretrained"}


def in_a_new_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_alone_is_cheap():
    out = in_a_new_process(
        "import sys, time\n"
        "start = time.perf_counter()\n"
        "import dvae_tf\n"
        "print(time.perf_counter() - start, *sys.modules)\n"
    )
    seconds, *modules = out.split()
    assert float(seconds) < 5  # 0.004 s on an idle machine; TensorFlow takes 4 s and more
    assert "dvae_tf" in modules
    assert not {"tensorflow", "keras", "numpy"} & set(modules)


@pytest.mark.slow
def test_subpackages_are_imported_when_accessed():
    out = in_a_new_process(
        "import sys, dvae_tf\n"
        "print(dvae_tf.config.BASELINES[0], 'tensorflow' in sys.modules)\n"
        "print(dvae_tf.smoothing.Power.__name__, 'tensorflow' in sys.modules)\n"
    )
    assert out.splitlines() == ["dvae_spike_exp False", "Power True"]


def test_every_subpackage_is_listed():
    there = {path.stem for path in ROOT.glob("*.py")} | {
        path.parent.name for path in ROOT.glob("*/__init__.py")
    }
    assert set(dvae_tf.__all__) == there - _INSTALLED - {"__init__"}
    assert set(dvae_tf.__all__) <= set(dir(dvae_tf))
    for name in dvae_tf.__all__:
        assert getattr(dvae_tf, name).__name__ == f"dvae_tf.{name}"


def test_type_checkers_see_the_same():
    module = ast.parse((ROOT / "__init__.py").read_text())
    (imports,) = [node for node in module.body if isinstance(node, ast.If)]
    assert ast.unparse(imports.test) == "TYPE_CHECKING"
    assert [alias.name for node in imports.body for alias in node.names] == dvae_tf.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dvae_tf' has no attribute 'nothing'"):
        _ = dvae_tf.nothing
    assert not hasattr(dvae_tf, "__wrapped__")
