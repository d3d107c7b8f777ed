"""Reach: where endpoints live. `api.py` is the contract; every other file is a plane or a part of one."""
