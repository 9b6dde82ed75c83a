"""Published files are recognized by their digests before anything parses them."""

import hashlib
import pathlib
from collections.abc import Mapping

from . import images

_BLOCK = 1 << 20


def identify(
    path: pathlib.Path, sha256: Mapping[str, str], git_blob_ids: Mapping[str, str] | None = None
) -> str:
    """Returns which of the known files a file is, by its digest.

    Args:
      path: The file.
      sha256: The description of each known file by its hexadecimal SHA-256 digest.
      git_blob_ids: The same by Git blob id, for files whose SHA-256 digest is not known.

    Returns:
      The description of the file.

    Raises:
      DataError: If the file cannot be read or is not a known one.
    """
    try:
        digest, blob_id = _digests(path)
    except OSError as error:
        raise images.DataError(f"{path}: expected a readable file: {error}") from error
    known = {**sha256, **(git_blob_ids or {})}
    for key in (digest, blob_id):
        if key in known:
            return known[key]
    also = f", or with Git blob id {' or '.join(git_blob_ids)}" if git_blob_ids else ""
    raise images.DataError(
        f"{path}: expected the published file with SHA-256 {' or '.join(sha256)}{also}; got SHA-256 "
        f"{digest}. Replace it with an undamaged copy"
    )


def _digests(path: pathlib.Path) -> tuple[str, str]:
    """Returns the SHA-256 of a file and its Git blob id, which is the SHA-1 of its size and content."""
    digest = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            blob.update(block)
    return digest.hexdigest(), blob.hexdigest()
