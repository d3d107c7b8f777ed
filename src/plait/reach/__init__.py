"""Reach: where endpoints live. `api.py` is the contract; every other file is a plane or a pure part of
one."""
