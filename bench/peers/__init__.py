"""Other networks, measured beside Plait: the same hosts, switches, links, pings and clock."""
