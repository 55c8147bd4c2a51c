"""The portal at home: Flow's API over an embedded database and files on disk (DESIGN §6)."""
