"""Schedules of training: the published one, and what the library changes of it.

`docs/schedule.md` shows what each change is worth, as `python -m runners.ablation` measured it.
"""

from collections.abc import Mapping
from typing import Any

# Name of a schedule -> name of a change -> the fields of `Recipe` that it sets, in the order of the ablation.
SCHEDULES: dict[str, Mapping[str, Mapping[str, Any]]] = {
    "published": {},
    "best": {
        "centered machine": {"centered": True},
        "Rao-Blackwellized negative phase": {"rao_blackwellized": True},
        # An even number, which all estimators take.
        "more samples late": {"late_start": 0.8, "late_k": 6},
    },
}


def changes_of(schedule: str, k: int = 1) -> dict[str, Any]:
    """The fields of `Recipe` that a schedule sets; no late part that has fewer samples than `k`."""
    return {
        name: value
        for change in SCHEDULES[schedule].values()
        if change.get("late_k", k) >= k
        for name, value in change.items()
    }
