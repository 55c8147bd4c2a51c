"""The HTTP face: callers, refusals, file bytes, and Flow's endpoints."""
