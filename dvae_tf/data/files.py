"""Files that a user puts in place by hand: found and hashed before anything parses them."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping

from . import images

_BLOCK = 1 << 20


def missing(folder: pathlib.Path, names: Iterable[str]) -> list[str]:
    """Names the files that are not in a folder.

    Args:
      folder: Where to look.
      names: The names of the files.

    Returns:
      Those of `names` that are not files in `folder`, sorted.
    """
    return sorted(name for name in names if not (folder / name).is_file())


def check_digests(folder: pathlib.Path, sha256: Mapping[str, str]) -> None:
    """Checks the SHA-256 digests of files.

    Args:
      folder: The folder that holds the files.
      sha256: The expected hexadecimal digest of each name.

    Raises:
      DataError: If a file cannot be read or has another digest.
    """
    for name, expected in sorted(sha256.items()):
        path = folder / name
        try:
            got = _sha256(path)
        except OSError as error:
            raise images.DataError(f"{path} cannot be read: {error}.") from error
        if got != expected:
            raise images.DataError(
                f"{path} is not the published file: its SHA-256 should be {expected}, but is "
                f"{got}. Replace it by an undamaged copy."
            )


def _sha256(path: pathlib.Path) -> str:
    """Hashes a file block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
