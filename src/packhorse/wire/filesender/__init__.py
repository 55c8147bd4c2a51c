"""FileSender's wire, pure: signing, encryption, records, pages, names, links and errors (spec filesender).

Building is exact. Reading is lenient in form, never in meaning: what a server left out gets a plain default, but a list
or a page that cannot be read whole raises :class:`~packhorse.errors.ProtocolError`, because half a list looks complete.
"""
