"""The programs as a user meets them: in a process of their own."""

import json
import re
import time

import numpy as np
import pytest

from support.programs import run

QUICK = [
    "--num_train_iter=60",
    "--num_chains=10",
    "--num_sweeps=2",
    "--eval_iw_samples=20",
]


@pytest.mark.slow
def test_help_lists_the_flags_with_their_defaults():
    out, _ = run("binarized_mnist", "--help", fresh=True)
    names = (
        "data_dir manual_dir log_dir struct baseline k beta sampler num_chains num_sweeps num_train_iter "
        "train_batchsize eval_batchsize eval_iw_samples base_lr seed dry_run"
    )
    for flag in names.split(" "):
        assert f"--{'[no]' if flag == 'dry_run' else ''}{flag}:" in out
    assert "default: '1000000'" in out
    assert "2-layer-nonlin" in out


@pytest.mark.slow
def test_the_schedule_sets_the_learning_rate_unless_it_is_given():
    schedule = ["digits", "--dry_run", "--schedule=best"]
    assert re.search(r"base_lr\W+0\.01\b", run(*schedule)[0])
    given, _ = run(*schedule, "--base_lr=0.002", "--lr_steps=0:1,0.5:0.25")
    assert re.search(r"base_lr\W+0\.002\b", given)
    assert re.search(r"lr_steps\W+0\.0\W+1\.0\W+0\.5\W+0\.25\b", given)
    _, err = run(*schedule, "--lr_steps=0:1,0.5", code=2)
    assert "lr_steps: expected fraction:factor,…, got 0:1,0.5" in err


def test_dry_run_says_what_would_run_and_writes_nothing(tmp_path):
    # 64-64-32 and 32-64-64 networks with batch norm, and a 16+16 machine.
    parameters = 64 * 64 + 2 * 64 + 64 * 32 + 32 + 32 * 64 + 2 * 64 + 64 * 64 + 64 + 16 * 18
    assert parameters == 12_928
    out, _ = run("digits", "--dry_run", f"--log_dir={tmp_path / 'run'}", "--k=5")
    for text in (
        "Configuration",
        "1-layer-small",
        "Parameters: 12,928",
        "Published test NLL",
        "Estimated time",
    ):
        assert text in out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_a_second_time_an_evaluation_and_a_publication(tmp_path):
    folder = tmp_path / "run"
    out, _ = run("digits", f"--log_dir={folder}", *QUICK)
    assert "test NLL" in out
    assert "steps/s" in out or "step 60" in out
    result = json.loads((folder / "result.json").read_text())

    def times():
        return {file: file.stat().st_mtime_ns for file in folder.iterdir() if file.is_file()}

    before = times()
    out, _ = run("digits", f"--log_dir={folder}", *QUICK)
    assert f"{result['test_nll']:.2f}" in out
    assert {
        file: file.stat().st_mtime_ns for file in folder.iterdir() if file.is_file()
    }.items() <= before.items()
    _, err = run("digits", f"--log_dir={folder}", *QUICK, "--k=5", code=2)
    assert "k: folder has 1, requested 5" in err
    effort = ["--eval_iw_samples=7", "--ais_temperatures=50", "--seed=3"]
    out, _ = run("evaluate", f"--log_dir={folder}", *effort)
    assert "K = 7" in out
    run("publish", f"--log_dir={folder}", f"--results_dir={tmp_path}", "--weights")
    published = tmp_path / "digits" / "1-layer-small" / "dvaes_power-pcd10x2-k1-60-seed0"
    assert {file.name for file in published.iterdir()} == {
        "config.json",
        "inputs.json",
        "result.json",
        "samples.png",
        "reconstructions.png",
        "learning_curve.png",
        "weights.npz",
    }
    run("evaluate", f"--log_dir={published}", *effort)
    # Another run of the same name does not take its place.
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"base_lr": 0.5}))
    _, err = run("publish", f"--log_dir={folder}", f"--results_dir={tmp_path}", code=2)
    assert "holds another run" in err
    assert "base_lr: folder has 0.5" in err


@pytest.mark.parametrize(
    ("flags", "messages"),
    [
        (["--baseline=vae"], ["baseline", "dvaes_power"]),
        (["--struct=9-layer"], ["struct", "2-layer-nonlin"]),
        (["--color=red"], ["color"]),
        (["--k=0"], ["k:"]),
        (["--beta=-1"], ["beta"]),
        (["--beta=0.5"], ["beta", "above 1"]),
        (["--num_train_iter=0"], ["num_train_iter"]),
        (["--train_batchsize=5000"], ["train_batchsize", "1297"]),
        (["stray"], ["stray"]),
        ([], ["log_dir"]),
    ],
    ids=lambda value: value[0] if value else "none",
)
def test_bad_use_leaves_with_code_2_and_a_message(flags, messages, tmp_path):
    where = [] if messages == ["log_dir"] else [f"--log_dir={tmp_path / 'run'}"]
    _, err = run("digits", *where, *flags, code=2)
    assert "Traceback" not in err
    for message in messages:
        assert message in err
    assert not (tmp_path / "run").exists()


def test_binarized_mnist_needs_no_folder():
    out, _ = run("binarized_mnist", "--dry_run", "--struct=1-layer-lin")
    assert "Data: embedded in dvae_tf; 50,000 / 10,000 / 10,000 images" in out


def test_missing_data_are_noticed_at_once(tmp_path):
    started = time.monotonic()
    flags = [f"--log_dir={tmp_path / 'run'}", f"--manual_dir={tmp_path}", f"--data_dir={tmp_path / 'tfds'}"]
    _, err = run("binarized_mnist", *flags, code=2)
    assert "binarized_mnist_train.amat" in err
    assert str(tmp_path) in err
    assert "Traceback" not in err
    assert time.monotonic() - started < 60  # imports included
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_images_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "images.npz", train=rng.integers(0, 256, (200, 6, 5), np.uint8), test=np.eye(30) > 0)
    flags = [f"--train={tmp_path}/images.npz:train", f"--log_dir={tmp_path / 'run'}", "--name=toys"]
    _, err = run("custom", *flags, code=2)
    assert "test: expected a .npy or .npz file, got none" in err
    flags += [f"--test={tmp_path}/images.npz:test", "--struct=1-layer-small", *QUICK]
    _, err = run("custom", *flags, "--image_shape=5,5", code=2)
    assert "one shape" in err
    out, _ = run("custom", *flags)
    assert "test NLL" in out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["dataset"] == "toys"
    out, _ = run("evaluate", f"--log_dir={tmp_path / 'run'}", f"--test={tmp_path}/images.npz:test")
    assert "test images: 30" in out


@pytest.mark.slow
def test_own_images_in_color(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (150, 4, 5, 3), np.uint8)
    np.savez(tmp_path / "images.npz", train=colors[:120], test=colors[120:])
    flags = [f"--{split}={tmp_path}/images.npz:{split}" for split in ("train", "test")]
    flags += [f"--log_dir={tmp_path / 'run'}", "--likelihood=logistic_mixture", *QUICK]
    out, _ = run("custom", *flags)
    assert "Levels: kept as they are" in out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert f"{result['test_bits_per_dim']:.3f} ± " in out
    # Uniform levels need 8 bits each.
    assert 8 < result["test_bits_per_dim"] < 10
    out, _ = run("evaluate", f"--log_dir={tmp_path / 'run'}", f"--test={tmp_path}/images.npz:test")
    assert "bits/dim" in out
