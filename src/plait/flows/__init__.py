"""The language of apps: flows and groups, the names of register bits, the tables, and a trace through them.
Pure.
"""
