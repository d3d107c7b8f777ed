"""Network functions, one a file: pure generators from what a lens shows to flows and groups.

An app runs once for each thing of its kind (`station`, `network`, `router`, `rule`, …); what it asks the
lens for is recorded, so that it runs again when, and only when, something of that changes. It never deletes:
what it no longer yields is gone.
"""

from plait.apps import (
    assignment,
    defaults,
    gateway,
    l2,
    members,
    multicast,
    neighbour,
    port_security,
    resolve,
    route,
    rule_slots,
    rules,
    switch,
    tracking,
    transport,
)
from plait.apps.api import App

RULES = App(21, "rules", "rule", rules.rule)
"""Its flows decide, and count, for rules."""

APPS: tuple[App, ...] = (
    App(1, "switch", "switch", switch.switch),
    App(2, "transport", "network", transport.network),
    App(3, "port_security", "station", port_security.station),
    App(4, "resolve", "station", resolve.station),
    App(5, "l2", "station", l2.station),
    App(6, "multicast", "network", multicast.network),
    App(7, "assignment", "network", assignment.network),
    App(8, "claims", "station", assignment.station),
    App(17, "gateway", "interface", gateway.interface),
    App(18, "route", "router", route.router),
    App(19, "neighbour", "station", neighbour.station),
    App(20, "tracking", "switch", tracking.switch),
    RULES,
    App(22, "defaults", "policy", defaults.policy),
    App(23, "members", "station", members.station),
    App(24, "address groups", "prefix", members.prefix),
    App(25, "rule slots", "slot", rule_slots.slot),
)
"""All apps. Numbers are part of cookies on switches: never give one to another app."""

APPS_BY_KIND: dict[str, tuple[App, ...]] = {
    kind: tuple(app for app in APPS if app.kind == kind)
    for kind in ("switch", "network", "router", "interface", "rule", "slot", "policy", "prefix", "station")
}
APP_NAMES: dict[int, str] = {app.number: app.name for app in APPS}
