"""OpenFlow 1.4 with the Nicira extensions, as Open vSwitch 3.1 speaks it.

Rule 1: everything that is compared with the switch (matches, instructions, buckets) is bytes, built in
exactly the form in which the switch prints it back. `desired == actual` is a comparison of bytes.
Rule 2: nothing here does I/O; time is an argument of `session`.
"""
