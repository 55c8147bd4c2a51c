"""ImmPort's addresses: ``/auth``, ``/data``, ``/workspaces``, ``/shared``, ``/ga4gh``."""
