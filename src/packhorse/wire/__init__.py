"""What client and server agree on byte for byte: pure builders and parsers, no I/O.

Everything is built exactly and parsed leniently; no parser raises on hostile text, it answers ``None``.
"""
