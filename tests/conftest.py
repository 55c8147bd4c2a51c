"""What holds for every test."""

from __future__ import annotations

import faulthandler
import os

import pytest

collect_ignore = ["e2e/immport_client_all.py"]  # runs in an environment of its own, which has what it imports


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """A run that cannot end after its last test says where it hangs, and fails, instead of waiting for ever.

    One of several processes may wait longer, for the others.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        faulthandler.dump_traceback_later(60, exit=True)
