"""Plait connects containers and virtual machines across hosts. `docs/architecture.md` is the map."""

__version__ = "0.1.0"
