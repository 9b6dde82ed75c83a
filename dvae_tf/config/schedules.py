"""Schedules of training: the published one, and what the library changes of it.

`docs/schedule.md` shows what each change is worth, as `python -m runners.ablation` measured it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .systems import System


class Change(NamedTuple):
    """A difference from the published schedule.

    Attributes:
      fields: the fields of `Recipe` that it sets.
      prior: the prior of the systems that it is for, as in `System`; None for all systems.
    """

    fields: Mapping[str, Any]
    prior: str | None = None


# Name of a schedule -> its changes by name, in the order of the ablation.
SCHEDULES: dict[str, Mapping[str, Change]] = {
    "published": {},
    "best": {
        "centered machine": Change({"centered": True}),
        "Rao-Blackwellized negative phase": Change({"rao_blackwellized": True}),
        "softer relaxation": Change({"temperature": 1 / 4}, prior="gumbolt"),
        # An even number, which all estimators take.
        "more samples late": Change({"late_start": 0.6, "late_k": 6}),
    },
}


def changes_of(schedule: str, system: System, k: int = 1) -> dict[str, Change]:
    """The changes of a schedule that are for a system and for K samples: a late part never has fewer."""
    return {
        name: change
        for name, change in SCHEDULES[schedule].items()
        if change.prior in (None, system.prior) and change.fields.get("late_k", k) >= k
    }


def fields_of(changes: Mapping[str, Change]) -> dict[str, Any]:
    """The fields of `Recipe` that changes set."""
    return {name: value for change in changes.values() for name, value in change.fields.items()}
