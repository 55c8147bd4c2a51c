"""Items that are wanted together: some portals can serve many out of one object that they make ready first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packhorse.transfer.job import Task
from packhorse.transfer.portal import Gathers

__all__ = ["together"]


async def together(tasks: Sequence[Task], wish: bool | None) -> list[Task]:
    """The same tasks, after their portals heard what is wanted, with what they now state of the items.

    ``wish``: ``True`` and ``False`` are the user's word; ``None`` leaves it to the portal's advice. Raises the portals'
    errors.
    """
    found = list(tasks)
    if wish is False:
        return found
    by_portal: dict[int, list[int]] = {}
    for index, task in enumerate(tasks):
        if isinstance(task.portal, Gathers):
            by_portal.setdefault(id(task.portal), []).append(index)
    for indices in by_portal.values():
        portal = tasks[indices[0]].portal
        assert isinstance(portal, Gathers)
        if wish or len(indices) > portal.gathers_above:
            items = await portal.gather([tasks[index].item for index in indices], wished=bool(wish))
            for index, item in zip(indices, items, strict=True):
                found[index] = replace(tasks[index], item=item)
    return found
