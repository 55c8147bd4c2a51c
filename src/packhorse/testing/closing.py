"""Ending an asyncio server so that no connection of it stays open to be found by whatever runs later."""

from __future__ import annotations

import asyncio

__all__ = ["end_server"]


async def end_server(server: asyncio.AbstractServer) -> None:
    """Close a server on the running loop, which serves nothing else: every other task of it is cancelled, every
    connection is broken, and all of them are closed when it returns."""
    # a connection that asyncio is just taking in would be lost, open, if its server closed now
    while any("_accept_connection" in repr(task.get_coro()) for task in asyncio.all_tasks()):  # noqa: ASYNC110
        await asyncio.sleep(0)
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    opened = list(getattr(asyncio.get_running_loop(), "_transports", {}).values())
    for transport in opened:
        transport.abort()
    while any(transport._sock is not None for transport in opened):  # noqa: ASYNC110
        await asyncio.sleep(0)
