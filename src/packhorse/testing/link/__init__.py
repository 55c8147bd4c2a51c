"""Emulated lines, the same for every program: delay, rate and loss without netem.

`NetnsLink` is a real line between two network namespaces (Linux, root); `LinkProxy` a TCP proxy that runs anywhere.
"""

from packhorse.testing.link.netns import LinkStats, NetnsLink, WayStats
from packhorse.testing.link.proxy import LinkProxy

__all__ = ["LinkProxy", "LinkStats", "NetnsLink", "WayStats"]
