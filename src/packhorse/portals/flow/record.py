"""What the guide's client returns: one class for every record, with attribute and item access (spec flow §10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from packhorse.settings import near

__all__ = ["Record"]


class Record(dict[str, Any]):
    """A server's record: ``record.name`` and ``record["name"]`` are the same; nested objects are records too.

    It is a dict, so that ``json.dumps`` and ``pandas.DataFrame`` take it. A field named like a method of dict is
    reached by item access.

    >>> sample = Record({"id": "12", "data": [{"filename": "a.gz"}]})
    >>> sample.data[0].filename, sample["id"], sorted(sample.keys())
    ('a.gz', '12', ['data', 'id'])
    >>> sample.nmae
    Traceback (most recent call last):
    AttributeError: this record has no 'nmae' (it has data, id)
    """

    __slots__ = ()

    def __init__(self, fields: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **more: Any) -> None:
        super().__init__({name: _nested(value) for name, value in dict(fields, **more).items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            shown = ", ".join(sorted(self)[:20])
            raise AttributeError(f"this record has no {name!r}{near(name, self)} (it has {shown})") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = _nested(value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self if name.isidentifier())]

    def __repr__(self) -> str:
        return f"Record({super().__repr__()})"

    def __reduce__(self) -> Any:
        return (Record, (dict(self),))


def _nested(value: Any) -> Any:
    if isinstance(value, Mapping) and not isinstance(value, Record):
        return Record(value)
    if isinstance(value, list):
        return [_nested(entry) for entry in value]
    return value
