"""Alembic's entry: it migrates the connection that :func:`packhorse.server.db.engine.migrate` hands over."""

from __future__ import annotations

from alembic import context

from packhorse.server.db import bulk as _bulk  # noqa: F401 - likewise
from packhorse.server.db import filesender as _filesender  # noqa: F401 - its tables belong to Base.metadata
from packhorse.server.db import immport as _immport  # noqa: F401 - likewise
from packhorse.server.db import immport_access as _immport_access  # noqa: F401 - likewise
from packhorse.server.db import immport_uploads as _immport_uploads  # noqa: F401 - likewise
from packhorse.server.db import immport_views as _immport_views  # noqa: F401 - likewise
from packhorse.server.db import letters as _letters  # noqa: F401 - likewise
from packhorse.server.db.models import Base


def _run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters tables by copying them
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if hasattr(context, "config"):  # only Alembic sets it; others may import this file to look at it
    _run()
