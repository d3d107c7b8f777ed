"""What users ask for, as one object over a store: every frontend calls this and nothing below."""

from plait.intent.address_groups import AddressGroups
from plait.intent.connections import Connections
from plait.intent.groups import Groups
from plait.intent.hosts import Hosts
from plait.intent.interfaces import Interfaces
from plait.intent.members import Members
from plait.intent.networks import Networks
from plait.intent.peerings import Peerings
from plait.intent.ports import Ports
from plait.intent.routers import Routers
from plait.intent.routes import Routes
from plait.intent.rules import Rules
from plait.intent.secondary import SecondaryAddresses
from plait.intent.subnets import Subnets
from plait.model import checks, numbers
from plait.model.entities import DEFAULT_PROJECT
from plait.model.numbers import Space
from plait.store.api import Store


class Intent:
    """The networks, subnets, ports, routers, groups and policies of one project; the hosts of the cluster.

    Every method raises `IntentError` (refused as things stand), `Invalid` (a value that can't be) or
    `StoreError`; then nothing was written. After `StoreUnavailable` alone it is unknown whether it was: look
    before trying again.
    """

    def __init__(self, store: Store, *, project: str = DEFAULT_PROJECT, vnis: Space | None = None) -> None:
        """`vnis`: those that networks and routers get without asking for one (default 4096 to 16777215)."""
        checks.name(project, "project")
        self.store = store
        self.project = project
        self.subnets = Subnets(store, project)
        self.ports = Ports(store, project)
        self.secondary_addresses = SecondaryAddresses(store, project)
        self.networks = Networks(store, project, vnis or numbers.vnis(), self.subnets, self.ports)
        self.interfaces = Interfaces(store, project)
        self.routes = Routes(store, project)
        self.peerings = Peerings(store, project, self.routes)
        self.routers = Routers(store, project, vnis or numbers.vnis(), self.interfaces, self.peerings)
        self.groups = Groups(store, project)
        self.members = Members(store, project)
        self.rules = Rules(store, project)
        self.address_groups = AddressGroups(store, project)
        self.connections = Connections(store, project)
        self.hosts = Hosts(store)
