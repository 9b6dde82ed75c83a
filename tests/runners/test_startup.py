"""Programs write nothing to standard error; what matters is not dropped with the noise."""

import subprocess
import sys

import pytest

from support.programs import ROOT, run

SMALL = ("--num_train_iter=60", "--num_validations=2", "--eval_iw_samples=10", "--num_chains=10")


@pytest.mark.slow
def test_programs_are_silent_but_for_their_own_output(tmp_path):
    folder = f"--log_dir={tmp_path / 'run'}"
    programs = {
        "digits": (folder, *SMALL),
        "evaluate": (folder, "--eval_iw_samples=10"),
        "report": (folder, f"--out={tmp_path / 'page.html'}"),
        "export": (folder, f"--out={tmp_path / 'saved'}", "--iw_samples=10", "--num_sweeps=10"),
    }
    for name, arguments in programs.items():
        _, err = run(name, *arguments, fresh=True)
        assert err == "", name


@pytest.mark.slow
def test_errors_of_the_import_and_other_messages_are_shown():
    """Negative control: a message of a native library that is not known to be noise, and a failing import."""
    code = (
        "import os, sys; from runners import startup\n"
        "with startup._captured() as lines: os.write(2, b'E0000 something is wrong\\n')\n"
        "print(lines)\n"
        "with startup._captured(): os.write(2, b'the cause\\n'); raise ImportError('no module')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "E0000 something is wrong" in done.stdout
    assert "the cause" in done.stderr
    assert "ImportError: no module" in done.stderr
