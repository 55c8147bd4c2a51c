"""Follow a transfer from Python: the same events that `packhorse get --json` prints.

Start a portal with `packhorse serve --demo`, sign in with `packhorse login demo`, then run this file; press Ctrl-C in
the middle and run it again.
"""

from packhorse import Session
from packhorse.transfer.events import Event, Placed, Progress, Resumed


def show(event: Event) -> None:
    match event:
        case Resumed():
            print(f"{event.path}: {event.kept:,} bytes were here already")
        case Progress(path="", size=size) if size:
            print(f"{event.done / size:6.1%}  {(event.rate or 0) / 2**20:6.1f} MiB/s")
        case Placed():
            print(f"{event.path}: {event.size:,} bytes, proven by {event.proof}")


with Session() as session:
    session.get("demo:data/792", "downloads/", limit_rate=16 * 2**20, on_event=show)
