"""Processes of other packages for the benchmarks: answers, and processes that are not there or end."""

import sys

import pytest

from runners import peers


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Writes the script of a peer beside the module."""

    def write(text):
        monkeypatch.setattr(peers, "__file__", str(tmp_path / "peers.py"))
        (tmp_path / "peer.py").write_text(text)
        return "peer.py"

    return write


def test_answers(script):
    echo = script("import json, sys\nfor line in sys.stdin: print(json.loads(line)['number'], flush=True)")
    peer = peers.Peer("its_python", sys.executable, echo, number=0)
    assert [peer.ask(number=number) for number in (1, 2.5)] == [1, 2.5]
    peer.close()


def test_processes_that_are_not_there_or_end(script):
    with pytest.raises(FileNotFoundError, match="its_python: expected a Python interpreter, got /none"):
        peers.Peer("its_python", "/none", "peer.py")
    with pytest.raises(ValueError, match="its_python: the process ended"):
        peers.Peer("its_python", sys.executable, script("raise SystemExit(3)"))
    once = peers.Peer("its_python", sys.executable, script("input(); print(0, flush=True)"))
    for _ in range(2):
        with pytest.raises(ValueError, match="its_python: the process ended"):
            once.ask(task="more")
    once.close()
