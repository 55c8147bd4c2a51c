"""Alembic's scripts, shipped with the package and run at start."""

from typing import Final

HEAD: Final = "0008"
"""The newest revision: a database that has it is not asked any further, which saves loading Alembic at every start."""
