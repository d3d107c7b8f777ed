"""The difference between desired and actual: what to send, in which order, in which portions. Pure."""
