"""ImmPort's side of the server: release packages, what is derived from them, who may see it (spec immport)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

__all__ = ["AFTER_IMPORT"]


def _rebuild(session: Session, package_id: int) -> None:
    from packhorse.server.immport.views import rebuild

    rebuild(session, package_id)


AFTER_IMPORT: Final[list[Callable[[Session, int], None]]] = [_rebuild]
"""What is derived from a package's rows: each is called with the session and the package's id, in the transaction of
the import, after the last row and before the commit; what one raises undoes the import."""
