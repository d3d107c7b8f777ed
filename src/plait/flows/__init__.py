"""The language of apps: flows and groups, register bits by name, the tables, a trace through them. Pure."""
