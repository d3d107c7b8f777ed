"""The store: where intent stands. `api.py` is the contract; every other file is a driver."""
