"""What holds for every test."""

from __future__ import annotations

import faulthandler

import pytest


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """A run that cannot end after its last test says where it hangs, and fails, instead of waiting for ever."""
    faulthandler.dump_traceback_later(60, exit=True)
