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
      max_groups: the largest number of groups of the structures that it is for; None for all structures.
    """

    fields: Mapping[str, Any]
    prior: str | None = None
    max_groups: int | None = None


# Name of a schedule -> its changes by name, in the order of the ablation.
SCHEDULES: dict[str, Mapping[str, Change]] = {
    "published": {},
    "best": {
        "centered machine": Change({"centered": True}),
        "Rao-Blackwellized negative phase": Change({"rao_blackwellized": True}),
        "softer relaxation": Change({"temperature": 1 / 4}, prior="gumbolt"),
        # An even number, which all estimators take.
        "more samples late": Change({"late_start": 0.8, "late_k": 6}),
        "high learning rate for longer": Change(
            {
                "base_lr": 4e-3,
                "lr_steps": ((0.0, 0.1), (0.02, 1.0), (0.8, 1 / 3), (0.9, 0.1), (0.97, 1 / 33)),
            }
        ),
        # Later groups depend on the draws of earlier ones: their gradients are noisier.
        "higher learning rate": Change({"base_lr": 1e-2}, max_groups=1),
    },
}


def changes_of(schedule: str, system: System, k: int = 1, num_groups: int = 1) -> dict[str, Change]:
    """The changes of a schedule for a system, K samples and a structure: a late part never has fewer."""
    return {
        name: change
        for name, change in SCHEDULES[schedule].items()
        if change.prior in (None, system.prior)
        and change.fields.get("late_k", k) >= k
        and (change.max_groups is None or num_groups <= change.max_groups)
    }


def fields_of(changes: Mapping[str, Change]) -> dict[str, Any]:
    """The fields of `Recipe` that changes set."""
    return {name: value for change in changes.values() for name, value in change.fields.items()}
