"""Rows as Arrow: from a server's answer, piece by piece, to a table in memory or to a file, in bounded memory.

Nothing here loads pyarrow or pandas before it is needed; where they are missing the error says what to install.

>>> from packhorse.tables import Column, Decoder, Table
>>> decoder = Decoder((Column("resultId", "integer"), Column("valuePreferred", "number")))
>>> blocks = decoder.feed(b'[ {"resultId" : 89390, "valuePreferred" : 1.00} ]') + decoder.finish()
>>> table = Table(decoder.columns, [decoder.accept(block.decode()) for block in blocks])
>>> table.to_pylist()
[{'resultId': 89390, 'valuePreferred': 1.0}]
"""

from packhorse.tables.columns import Column, Note, columns_of, with_text
from packhorse.tables.decoder import Decoder, WiderAnswerError
from packhorse.tables.placing import placed, standard_output
from packhorse.tables.table import Table
from packhorse.tables.writers import FORMATS, Format, Writer, format_of, open_writer, writing

__all__ = [
    "FORMATS",
    "Column",
    "Decoder",
    "Format",
    "Note",
    "Table",
    "WiderAnswerError",
    "Writer",
    "columns_of",
    "format_of",
    "open_writer",
    "placed",
    "standard_output",
    "with_text",
    "writing",
]
