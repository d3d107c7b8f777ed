"""Hosts in network namespaces, each with its own real Open vSwitch and agent: for demo, tests and benchmarks.

`lab.py` is the whole; `host.py` and `endpoint.py` are its parts; `pinger.py`, `streams.py` and `crafted.py`
make traffic; `capture.py` and `tunnelled.py` look at it.
"""
