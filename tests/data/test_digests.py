"""Published files are recognized by digest."""

import hashlib

import pytest

from dvae_tf import data
from dvae_tf.data import digests


def test_files_are_recognized_by_either_digest(tmp_path):
    """The blob ids are examples of Git's documentation: an empty file and "test content"."""
    file = tmp_path / "file"
    for content, blob in (
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"test content\n", "d670460b4b4aece5915caf5c68d12f560a9fe3e4"),
    ):
        file.write_bytes(content)
        assert digests.identify(file, {}, {blob: "by Git"}) == "by Git"
        assert (
            digests.identify(file, {hashlib.sha256(content).hexdigest(): "by SHA"}, {blob: "x"}) == "by SHA"
        )
        with pytest.raises(
            data.DataError, match=r"file: expected .* SHA-256 00, or with Git blob id 11; got SHA-256"
        ):
            digests.identify(file, {"00": "x"}, {"11": "y"})


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(data.DataError, match=f"{tmp_path}/none: expected a readable file"):
        digests.identify(tmp_path / "none", {"00": "x"})
