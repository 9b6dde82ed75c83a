"""Damages files, blindly and where a format has its numbers; what happens follows from `random.Random`."""

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

_INTEGERS = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    0x7FFF,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
_TEXTS = (
    "0",
    "-1",
    "9" * 25,
    "1e999",
    "NaN",
    "None",
    "''",
    "[]",
    "(",
    "O",
    "True",
    "4294967296",
    "\x00",
    "é",
)

Mutation = Callable[[random.Random, bytes], bytes]


def mutate(rng: random.Random, seeds: Sequence[bytes], aware: Sequence[Mutation]) -> bytes:
    """A damaged file: one mutation or several, of which half know the format."""
    content = rng.choice(seeds)
    if rng.random() < 0.08:
        content = _splice(rng, content, rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(aware if aware and rng.random() < 0.6 else _BLIND)(rng, content)
    return content


# --- Any file ----------------------------------------------------------------------------------


def _splice(rng: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]


def _flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randint(0, len(content))]


def _extend(rng: random.Random, content: bytes) -> bytes:
    return content + rng.choice((rng.randbytes(rng.randint(1, 200)), bytes(rng.randint(1, 5000)), content))


def _move(rng: random.Random, content: bytes) -> bytes:
    """Drops, repeats or moves a chunk."""
    start, end = sorted(rng.randint(0, len(content)) for _ in range(2))
    chunk, to = content[start:end], rng.randint(0, len(content))
    rest = content[:start] + content[end:]
    return rng.choice((rest, content[:to] + chunk + content[to:], rest[:to] + chunk + rest[to:]))


def _integer(rng: random.Random, content: bytes) -> bytes:
    """Overwrites a few bytes by an integer that programs stumble over."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randint(0, max(len(content) - width, 0)) // 2 * 2
    number = rng.choice(_INTEGERS) % 256**width
    return content[:at] + number.to_bytes(width, rng.choice(("little", "big"))) + content[at + width :]


_BLIND: tuple[Mutation, ...] = (_flip, _flip, _cut, _extend, _move, _integer, _integer)


# --- .npy --------------------------------------------------------------------------------------


def npy_header(rng: random.Random, content: bytes) -> bytes:
    """Another dtype, shape or order, in a header of the right length; or another version or length."""
    found = re.search(rb"\{.*\}", content[:400], re.DOTALL)
    if found is None:
        return _flip(rng, content)
    text, rest = found[0].decode("latin-1"), content[found.end() :].partition(b"\n")[2]
    sides = ", ".join(str(rng.choice((*_INTEGERS, -1, 10, 16, 10**30))) for _ in range(rng.randint(0, 5)))
    dtypes = ("'|O'", "'<f8'", "'|b1'", "'>i4'", "'|V9'", "'<U4'", "'<f2'", "'<c16'", "'<M8[s]'", "'|S0'")
    odd = (
        "[('a', '<f4'), ('b', '|O')]",
        "'f4,f4'",
        "'(99999,99999)f8'",
        "('<f4', (9, 9))",
        "{}",
        "''",
        "'<f99'",
    )
    changes = (
        (r"'shape':\s*\([^)]*\)", f"'shape': ({sides}{rng.choice((',', ''))})"),
        (r"'descr':\s*'[^']*'", f"'descr': {rng.choice(dtypes + odd)}"),
        (r"(True|False)", rng.choice(("True", "False", "1", "None", "'no'"))),
        (r"'(shape|descr|fortran_order)'", rng.choice(("'shape'", "1", "[]", "'extra'"))),
        (r"\d+", rng.choice(_TEXTS)),
        (r"\(", "(" * rng.choice((2, 100, 300, 3000))),
        (r"\(", "(" + "-" * rng.choice((1, 50, 3000)) + "1, "),
    )
    pattern, new = rng.choice(changes)
    text = re.sub(pattern, lambda _: new, text, count=1)
    version = rng.choice((1, 1, 1, 1, 2, 3, 0, 9))
    body = text.encode("utf-8", "replace") + b"\n"
    length = rng.choice((len(body),) * 8 + _INTEGERS) % 256 ** (2 if version == 1 else 4)
    width = 2 if version == 1 else 4
    return (
        b"\x93NUMPY"
        + bytes((version, rng.choice((0, 0, 0, 0, 1))))
        + length.to_bytes(width, "little")
        + body
        + rest
    )


# --- .npz --------------------------------------------------------------------------------------

_NAMES = (
    "../a.npy",
    "/etc/a.npy",
    "..\\a.npy",
    "a",
    "a/",
    ".npy",
    "",
    "a\0b.npy",
    "é.npy",
    "b/../../c.npy",
    "n" * 999,
)


def zip_members(rng: random.Random, content: bytes) -> bytes:
    """Members with damage behind their checksums: of the arrays, their names, their number, their method."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # damaged by an earlier mutation
        return _integer(rng, content)
    if not members:
        return content
    at = rng.randrange(len(members))
    name, array = members[at]
    kind = rng.randrange(6)
    if kind < 3:
        members[at] = name, rng.choice((npy_header, npy_header, *_BLIND))(rng, array)
    elif kind == 3:
        members[at] = rng.choice(_NAMES), array
    elif kind == 4:
        members.append(rng.choice(members))
    else:
        del members[at]
    method = rng.choice(
        (zipfile.ZIP_STORED, *[zipfile.ZIP_DEFLATED] * 4, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for each, body in members:
            # Not by name: that warns of names that occur twice.
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = each, method
            archive.writestr(info, body)
    return buffer.getvalue()


# Record -> offset and width of its fields: versions, flags, method, checksum, sizes, lengths, offsets.
_ZIP_FIELDS = {
    b"PK\1\2": [
        (6, 2),
        (8, 2),
        (10, 2),
        (16, 4),
        (20, 4),
        (24, 4),
        (28, 2),
        (30, 2),
        (32, 2),
        (34, 2),
        (42, 4),
    ],
    b"PK\3\4": [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)],
    b"PK\5\6": [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
}


def zip_field(rng: random.Random, content: bytes) -> bytes:
    """Another number in a record of the archive."""
    record = rng.choice(list(_ZIP_FIELDS))
    places = [found.start() for found in re.finditer(re.escape(record), content)]
    if not places:
        return _integer(rng, content)
    offset, width = rng.choice(_ZIP_FIELDS[record])
    at = rng.choice(places) + offset
    old = int.from_bytes(content[at : at + width], "little")
    number = rng.choice((*_INTEGERS, old + 1, old - 1, old ^ 1, old * 2)) % 256**width
    return content[:at] + number.to_bytes(width, "little") + content[at + width :]


# --- JSON --------------------------------------------------------------------------------------


_NAN = float("nan")
_ODD = (
    *(None, True, False, 0, -1, 0.5, -0.0, 1e308, _NAN, float("inf"), 10**400, 2**31, 2**63),
    *("", "a", "../../x", "x" * 10_000, "\ud800", "\0"),
    *([], {}, [[]], [1, 2], [[0, 1]], [[0.0, _NAN]], {"a": 1}),
)


def json_value(rng: random.Random, content: bytes) -> bytes:
    """Another value, or a field more or less."""
    try:
        values = json.loads(content)
        parent, key = None, None
        at = values
        while isinstance(at, dict | list) and at and (parent is None or rng.random() < 0.7):
            parent, key = at, rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
            at = parent[key]
    except (ValueError, RecursionError):
        return _flip(rng, content)
    if parent is None or rng.random() < 0.05:
        return json.dumps(rng.choice(_ODD)).encode()
    kind = rng.random()
    if kind < 0.7:
        parent[key] = rng.choice(_ODD)
    elif kind < 0.85:
        del parent[key]
    elif isinstance(parent, dict):
        parent[rng.choice(("color", "", "seed", "__class__", "k "))] = rng.choice(_ODD)
    return json.dumps(values).encode()


def json_text(rng: random.Random, content: bytes) -> bytes:
    """What no writer of JSON writes: depth, long numbers, fields twice, other encodings."""
    text = content.decode("latin-1")
    deep = rng.choice((50, 5_000, 200_000))
    kind = rng.randrange(5)
    if kind == 0:
        return ("[" * deep + rng.choice(("", "]" * deep))).encode()
    if kind == 1:
        return ('{"a":' * deep + "1" + "}" * deep).encode()
    if kind == 2:
        return re.sub(r"\d+", lambda _: "9" * rng.choice((30, 400, 5_000)), text, count=1).encode("latin-1")
    if kind == 3:
        return text.replace("{", '{"seed": 1, "seed": 2, ', 1).encode("latin-1")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")))


# --- .mat --------------------------------------------------------------------------------------


def mat_tag(rng: random.Random, content: bytes) -> bytes:
    """Another type or size in the tag of an element."""
    start = 128 if content[:6] == b"MATLAB" else 0
    slots = (len(content) - start) // 4
    if slots < 1:
        return _flip(rng, content)
    tags = [
        start + 4 * slot
        for slot in range(slots)
        if 0 < struct.unpack_from("<I", content, start + 4 * slot)[0] <= 18
    ]
    at = rng.choice(tags or [start]) + rng.choice((0, 4))
    number = rng.choice((*_INTEGERS, *range(20))) % 2**32
    return content[:at] + struct.pack("<I", number) + content[at + 4 :]


def mat_compressed(rng: random.Random, content: bytes) -> bytes:
    """Damage behind the compression of an element."""
    tag = struct.pack("<I", 15)
    places = [at for at in range(128, len(content) - 8, 4) if content[at : at + 4] == tag]
    if not places:
        return mat_tag(rng, content)
    at = rng.choice(places)
    (size,) = struct.unpack_from("<I", content, at + 4)
    try:
        inner = zlib.decompressobj().decompress(content[at + 8 : at + 8 + size], 1 << 20)
    except zlib.error:
        return mat_tag(rng, content)
    packed = zlib.compress(rng.choice((mat_tag, mat_tag, *_BLIND))(rng, inner))
    return content[:at] + tag + struct.pack("<I", len(packed)) + packed + content[at + 8 + size :]


NPY = (npy_header,)
NPZ = (zip_members, zip_members, zip_field)
JSON = (json_value, json_value, json_value, json_text)
MAT = (mat_tag, mat_tag, mat_compressed)
