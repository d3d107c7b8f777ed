"""Answers to packets that flows can't answer: one service a file, dispatched by `agent/punts.py`.

A service is a function of a `Punted` packet; the frame that it returns goes back out of the port that the
packet came by.
"""
