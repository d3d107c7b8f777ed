"""The agent: one process a host, one root task group. Everything that decides is elsewhere; here it is wired.

store --intent.py--+                                   +-- programming.py --> switch: flows, groups
reach ---reach.py--+--> engine.py: view, compiler,  ---+-- plugging.py -----> switch: bridge, ports, tunnels
switch -plugging.py+    what the switch has            +-- reporting.py ----> status, announcements
                                                       +-- cache.py --------> the last view, on disk
"""
