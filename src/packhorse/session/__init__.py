"""Joins settings, credentials, portals and engine; resolves addresses (DESIGN §2, §3).

>>> from packhorse.session import Session
>>> with Session() as session:                                    # doctest: +SKIP
...     outcome = session.get("flow:samples/12", "reads/")
"""

from packhorse.session.core import Addresses, Session
from packhorse.session.sending import Paths, Prepared
from packhorse.session.vias import Via, choose

__all__ = ["Addresses", "Paths", "Prepared", "Session", "Via", "choose"]
