"""The desired state of one host's Open vSwitch, kept in its database.

plan.py decides what to write, index.py and report.py what was read (all pure); connection.py is the shell.
"""

from plait.net.vswitch.connection import Vswitch
from plait.net.vswitch.types import (
    Attachment,
    BridgeInfo,
    InterfaceProblem,
    Link,
    PlugFailure,
    PlugRequest,
    PortIo,
    SwitchChange,
    SwitchConfig,
    SwitchMisconfigured,
    SwitchNotResponding,
    TunnelPort,
    Underlay,
    UnderlayUnusable,
)

__all__ = [
    "Attachment",
    "BridgeInfo",
    "InterfaceProblem",
    "Link",
    "PlugFailure",
    "PlugRequest",
    "PortIo",
    "SwitchChange",
    "SwitchConfig",
    "SwitchMisconfigured",
    "SwitchNotResponding",
    "TunnelPort",
    "Underlay",
    "UnderlayUnusable",
    "Vswitch",
]
