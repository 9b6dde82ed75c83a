"""A run that is killed and started again ends like one that never was, to the last bit."""

import itertools
import pathlib
import shutil
import signal
from typing import NamedTuple

import numpy as np
import pytest

from dvae_tf import storage
from support import runs

CASES = [*itertools.product(("pcd", "pa", "pt"), (1, 5), (False, True))]
SOME = (("pcd", 5, True),)
# In the middle of an interval, inside the write of the second checkpoint, and while testing.
KILLS = (("steps", 38), ("write", 2), ("test", 60))


@pytest.mark.parametrize(
    ("sampler", "k", "dynamic"),
    [pytest.param(*case, marks=pytest.mark.slow if case in SOME else pytest.mark.soak) for case in CASES],
)
def test_a_killed_run_ends_the_same_to_the_last_bit(sampler, k, dynamic, tmp_path):
    options = {"struct": "tiny-2", "sampler": sampler, "k": k, "dynamic_binarization": dynamic}
    assert runs.train(tmp_path / "whole", **options)[0] == 0
    for kill in KILLS:
        assert runs.train(tmp_path / "parts", kill=kill, **options)[0] == -signal.SIGKILL
        assert not (tmp_path / "parts" / "result.json").exists()
    code, err = runs.train(tmp_path / "parts", **options)
    assert code == 0, err
    assert not runs.differences(runs.final(tmp_path / "whole"), runs.final(tmp_path / "parts"))
    assert not list((tmp_path / "parts").glob(".*partial"))


@pytest.mark.parametrize(
    ("baseline", "struct", "k"),
    [
        pytest.param("rebar", "tiny", 1, marks=pytest.mark.soak),
        pytest.param("disarm", "tiny-2", 2, marks=pytest.mark.soak),
        pytest.param("gumbolt", "tiny-conv", 2, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_of_bits_ends_the_same_to_the_last_bit(baseline, struct, k, tmp_path):
    options = {"struct": struct, "baseline": baseline, "k": k, "base_lr": 0.03}
    assert runs.train(tmp_path / "whole", **options)[0] == 0
    assert runs.train(tmp_path / "parts", kill=("steps", 38), **options)[0] == -signal.SIGKILL
    assert runs.train(tmp_path / "parts", **options)[0] == 0
    assert not runs.differences(runs.final(tmp_path / "whole"), runs.final(tmp_path / "parts"))


# Weights that are small would let chains forget where they stood.
OPTIONS = {"sampler": "pa", "num_tracking_chains": 20, "base_lr": 0.1, "num_sweeps": 1}


class Pair(NamedTuple):
    whole: pathlib.Path
    stopped: pathlib.Path
    file: pathlib.Path
    said: str


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run, and the same stopped by SIGTERM at step 42, between two validations."""
    folder = tmp_path_factory.mktemp("pair")
    assert runs.train(folder / "whole", **OPTIONS)[0] == 0
    code, said = runs.train(folder / "stopped", kill=("steps", 40), signal=signal.SIGTERM, **OPTIONS)
    assert code == 1
    return Pair(folder / "whole", folder / "stopped", folder / "stopped/checkpoint-000000042.npz", said)


@pytest.mark.slow
def test_a_run_killed_inside_the_write_of_a_checkpoint_ends_the_same(pair):
    parts = pair.whole.with_name("killed")
    assert runs.train(parts, kill=("write", 2), **OPTIONS)[0] == -signal.SIGKILL
    assert list(parts.glob(".*partial"))
    assert runs.train(parts, **OPTIONS)[0] == 0
    assert not runs.differences(runs.final(pair.whole), runs.final(parts))
    assert not list(parts.glob(".*partial"))


@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(pair):
    assert (
        f"SIGTERM after step 42; {pair.file} holds everything. Start the same run again to resume it."
        in pair.said
    )
    arrays = storage.read_arrays(pair.file)
    assert arrays["progress/count"] == 12
    parts = pair.stopped.with_name("parts")
    shutil.copytree(pair.stopped, parts)
    code, said = runs.train(parts, kill=("test", 60), signal=signal.SIGINT, **OPTIONS)
    assert code == 1
    assert "SIGINT after 100 of 100 test images; the training is complete" in said
    assert runs.train(parts, **OPTIONS)[0] == 0
    assert not runs.differences(runs.final(pair.whole), runs.final(parts))


FORGOTTEN = (
    "state/prior/sampler_left",
    "state/prior/num_updates",
    "state/adam/iteration",
    "progress/sums",
)
ALSO_FORGOTTEN = (
    "state/prior/sampler_log_weights",
    "state/prior/log_partition",
    "state/prior/tracking_left",
    "state/adam/prior_weights_velocity",
)


@pytest.mark.parametrize(
    "forgotten",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in FORGOTTEN),
        *(pytest.param(name, marks=pytest.mark.soak) for name in ALSO_FORGOTTEN),
    ],
)
def test_a_run_that_forgets_a_piece_of_its_state_differs(forgotten, pair, tmp_path):
    """Negative control: the comparison is one that fails, and each piece of a checkpoint counts."""
    parts = pair.stopped.with_name(f"without-{forgotten.replace('/', '-')}")
    shutil.copytree(pair.stopped, parts)
    arrays = storage.read_arrays(pair.file)
    arrays[forgotten] = np.zeros_like(arrays[forgotten])
    storage.write_arrays(parts / pair.file.name, arrays)
    assert runs.train(parts, **OPTIONS)[0] == 0
    assert runs.differences(runs.final(pair.whole), runs.final(parts)) - {forgotten}


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_the_run_ends_the_same_from_the_one_before(pair):
    parts = shutil.copytree(pair.whole, pair.whole.with_name("damaged"))
    (parts / "result.json").unlink()
    (parts / "best.npz").write_bytes(b"rotten")
    newest, before = parts / "checkpoint-000000090.npz", parts / "checkpoint-000000060.npz"
    newest.write_bytes(newest.read_bytes()[:-100])
    code, said = runs.train(parts, **OPTIONS)
    assert code == 0
    assert f"{newest}: expected an archive that ends in its digest; it is damaged" in said
    assert f"resuming from {before}, the newest intact one" in said
    assert newest.with_name(f"{newest.name}.damaged").exists()
    assert not runs.differences(runs.final(pair.whole), runs.final(parts))
