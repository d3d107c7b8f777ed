"""What a host answers in its networks' name: addresses and all that belongs to them. Pure.

    identity        as whom the host speaks
    lease           what a port is told by DHCP           dhcp      what is answered to a client
    assignment      what a port is told by DHCPv6         dhcpv6    what is answered to a client
    advertising     what a network's router advertisements say, and when they are sent unasked

Every host answers its own ports, out of the view: nothing is handed out here that intent did not give to the
port before, so there is nothing to remember, and a restart or a move between hosts changes no answer.
"""
