"""The layout of the store. Interest is a prefix, so every question an agent asks is one prefix.

Ports do not stand below their network: an agent follows its networks, but of ports it needs its own only
(`bound/`); the others' places come from a reach plane.

    net/<n>/info, subnet/<s>, router/<r>/<s>   a network; its subnets; routers' interfaces on it, again
    port/<n>/<p>                               a port
    bound/<host>/<p>                           the same again below its host
    router/<r>/info, if/<s>, peer/<other>      a router; its interfaces; whom it wants to be joined to
    group/<g>/info, rule/<rule>                a group; its rules
    addresses/<a>/info, entry/<prefix>         an address group; its prefixes
    member/<g>/<p>                             who is in a group
    referred/<g>/<of>/<rule>                   which rules name a group or address group
    asked/<r>/<by>                             who wants to be joined to a router
    pair/<n>/<p>                               what ports may send as, besides their own addresses
    name/, alloc/, cursor/                     names, addresses, MACs, devices, VNIs that are taken
    inventory/<host>                           hosts
    host/<host>, health/<host>                 what their agents say of themselves, under their leases
    status/<host>/<p>                          what they say of ports
    reach/<n>/<p>/<host>                       where ports live
    announced/<host>/<n>/<p>                   which of those records are a host's
"""

ROOT = "plait/v1/"

HOSTS = ROOT + "host/"
INVENTORY = ROOT + "inventory/"
HEALTH = ROOT + "health/"
NETWORKS = ROOT + "net/"
PORTS = ROOT + "port/"
NAMES = ROOT + "name/"


def host(name: str) -> str:
    """The live record of a host, under its agent's lease."""
    return HOSTS + name


def inventory(host: str) -> str:
    """A host that the cluster knows, whether it lives or not."""
    return INVENTORY + host


def health(host: str) -> str:
    """What the host's agent says of itself, under its lease."""
    return HEALTH + host


def network_prefix(network: str) -> str:
    """A network with its subnets: what every host with a port in it follows."""
    return f"{NETWORKS}{network}/"


def network(network: str) -> str:
    return f"{NETWORKS}{network}/info"


def subnet_prefix(network: str) -> str:
    return f"{NETWORKS}{network}/subnet/"


def subnet(network: str, subnet: str) -> str:
    return f"{NETWORKS}{network}/subnet/{subnet}"


def is_subnet(key: str) -> bool:
    """Whether a key below `NETWORKS` is a subnet's."""
    return "/subnet/" in key.removeprefix(NETWORKS)


def router_on_network(network: str, router: str, subnet: str) -> str:
    """The same record as `router_interface`, for whoever follows the network."""
    return f"{NETWORKS}{network}/router/{router}/{subnet}"


def routers_on_network_prefix(network: str) -> str:
    """The interfaces of all routers on a network."""
    return f"{NETWORKS}{network}/router/"


ROUTERS = ROOT + "router/"


def router_prefix(router: str) -> str:
    """A router with its interfaces and peerings: what every host follows that it routes for."""
    return f"{ROUTERS}{router}/"


def router(router: str) -> str:
    return f"{ROUTERS}{router}/info"


def router_interface_prefix(router: str) -> str:
    return f"{ROUTERS}{router}/if/"


def router_interface(router: str, subnet: str) -> str:
    return f"{ROUTERS}{router}/if/{subnet}"


def peering_prefix(router: str) -> str:
    return f"{ROUTERS}{router}/peer/"


def peering(router: str, peer: str) -> str:
    """What `router` says; the other side's word is `peering(peer, router)`."""
    return f"{ROUTERS}{router}/peer/{peer}"


GROUPS = ROOT + "group/"
ADDRESS_GROUPS = ROOT + "addresses/"


def group_prefix(group: str) -> str:
    """A group with its rules: what every host with a port in it follows."""
    return f"{GROUPS}{group}/"


def group(group: str) -> str:
    return f"{GROUPS}{group}/info"


def rule_prefix(group: str) -> str:
    return f"{GROUPS}{group}/rule/"


def rule(group: str, rule: str) -> str:
    return f"{GROUPS}{group}/rule/{rule}"


def address_group_prefix(group: str) -> str:
    """An address group with its entries."""
    return f"{ADDRESS_GROUPS}{group}/"


def address_group(group: str) -> str:
    return f"{ADDRESS_GROUPS}{group}/info"


def address_entry_prefix(group: str) -> str:
    return f"{ADDRESS_GROUPS}{group}/entry/"


def address_entry(group: str, prefix: str) -> str:
    """`prefix` as text; its '/' stands as '_' in the key."""
    return f"{ADDRESS_GROUPS}{group}/entry/{prefix.replace('/', '_')}"


MEMBERS = ROOT + "member/"
REFERENCES = ROOT + "referred/"
ASKED = ROOT + "asked/"
PAIRS = ROOT + "pair/"


def member_prefix(group: str) -> str:
    """Who is in a group, found without reading every port."""
    return f"{MEMBERS}{group}/"


def member(group: str, port: str) -> str:
    """The port's name; written with the port."""
    return f"{MEMBERS}{group}/{port}"


def reference_prefix(group: str) -> str:
    """The rules that refer to a group or address group."""
    return f"{REFERENCES}{group}/"


def reference(group: str, of_group: str, rule: str) -> str:
    """The rule's name; written with the rule `rule` of `of_group`, which refers to `group`."""
    return f"{REFERENCES}{group}/{of_group}/{rule}"


def asked_prefix(router: str) -> str:
    """Who wants to be joined to a router, found without reading every router."""
    return f"{ASKED}{router}/"


def asked(router: str, by: str) -> str:
    """Written with `peering(by, router)`."""
    return f"{ASKED}{router}/{by}"


def address_pairs_prefix(network: str) -> str:
    """What ports of a network may send as, besides their own addresses."""
    return f"{PAIRS}{network}/"


def address_pairs(network: str, port: str) -> str:
    """The port's address pairs; written with the port, if it has any."""
    return f"{PAIRS}{network}/{port}"


def port_prefix(network: str) -> str:
    return f"{PORTS}{network}/"


def port(network: str, port: str) -> str:
    return f"{PORTS}{network}/{port}"


BOUND = ROOT + "bound/"
STATUSES = ROOT + "status/"
REACH = ROOT + "reach/"


def bound_prefix(host: str) -> str:
    """The ports of one host: its agent's starting point."""
    return f"{ROOT}bound/{host}/"


def bound(host: str, port: str) -> str:
    return f"{ROOT}bound/{host}/{port}"


def status_prefix(host: str) -> str:
    return f"{ROOT}status/{host}/"


def status(host: str, port: str) -> str:
    """What the host's agent says of a port; only frontends look."""
    return f"{ROOT}status/{host}/{port}"


def reach_prefix(network: str) -> str:
    return f"{ROOT}reach/{network}/"


def reach(network: str, port: str, host: str) -> str:
    """Where a port lives, said by the host that owns it (reach plane `watch`)."""
    return f"{ROOT}reach/{network}/{port}/{host}"


def reach_of_port(network: str, port: str) -> str:
    """All that hosts say of one port: more than one while it moves."""
    return f"{ROOT}reach/{network}/{port}/"


def announced_prefix(host: str) -> str:
    """What the host's agent has in reach/, found without reading what others have there."""
    return f"{ROOT}announced/{host}/"


def announced(host: str, network: str, port: str) -> str:
    """Empty; written and removed in one commit with `reach(network, port, host)`."""
    return f"{ROOT}announced/{host}/{network}/{port}"


def name(kind: str, project: str, name: str) -> str:
    return f"{NAMES}{kind}/{project}/{name}"


ALLOCATIONS = ROOT + "alloc/"
CURSORS = ROOT + "cursor/"


def address_prefix(subnet: str) -> str:
    return f"{ROOT}alloc/ip/{subnet}/"


def address(subnet: str, address: str) -> str:
    return f"{ROOT}alloc/ip/{subnet}/{address}"


def mac(network: str, mac: str) -> str:
    return f"{ROOT}alloc/mac/{network}/{mac}"


DEVICES = ROOT + "alloc/device/"


def device(host: str, device: str) -> str:
    """A host's interface that a port has: two ports can't have the same."""
    return f"{DEVICES}{host}/{device}"


VNIS = ROOT + "alloc/vni/"


def vni(number: int) -> str:
    return f"{VNIS}{number}"


def cursor(space: str) -> str:
    """Where the next search for a free number or address of `space` begins: a hint, never a truth."""
    return CURSORS + space
