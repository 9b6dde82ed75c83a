"""Schedules of training: the published one, and what the library changes of it.

A row holds the fields of `Recipe` that differ from the published ones. `docs/schedule.md` shows what each of
them is worth.
"""

from collections.abc import Mapping
from typing import Any

SCHEDULES: dict[str, Mapping[str, Any]] = {
    "published": {},
    "best": {
        "centered": True,
        "rao_blackwellized": True,
        "late_start": 0.8,
        "late_k": 5,
    },
}
