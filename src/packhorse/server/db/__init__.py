"""What the server remembers: tables, the engine, migrations."""
