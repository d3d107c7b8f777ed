"""What is true of this host's ports: judged from view, compiler and switch state, never from what happened.

A port is up when the switch has confirmed its flows, and those of its policy: from then on packets flow as
the policy says, and not before.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Protocol

import msgspec

from plait.agent.engine import Engine
from plait.model.entities import Endpoint, Network, Port, PortState, PortStatus
from plait.model.facets import Attachment, Key, Tunnels
from plait.model.policy import Group, Rule


class Devices(Protocol):
    """What judging needs of the part that plugs devices in."""

    def problem(self, port: Port) -> str | None: ...


class Verdict(msgspec.Struct, frozen=True):
    """What is to be told of a port: no status if it is not this host's, no endpoint if none can reach it."""

    status: PortStatus | None
    endpoint: Endpoint | None


GONE = Verdict(None, None)


class Judge:
    """`is_group_heard`: whether all that the store has of a group is known; `told`: what was told before."""

    def __init__(
        self,
        engine: Engine,
        devices: Devices,
        is_group_heard: Callable[[str], bool],
        told: Callable[[str], PortStatus | None],
    ) -> None:
        self._engine = engine
        self._devices = devices
        self._is_group_heard = is_group_heard
        self._told = told
        self._of_policies: dict[str, tuple[Key, ...]] = {}
        self._in_step: dict[str, bool] = {}
        self.is_switch_ready = False

    def judge_all(self, ids: Iterable[str]) -> dict[str, Verdict | None]:
        """See `judge`; what many ports have in common is looked at once."""
        self._of_policies.clear()
        self._in_step.clear()
        return {id: self.judge(id) for id in ids}

    def judge(self, id: str) -> Verdict | None:
        """What is to be told of a port; None while the switch has not answered yet."""
        view = self._engine.view
        port = view.get(Port, id)
        if port is None:
            return GONE
        reason = self._devices.problem(port)
        if view.get(Attachment, id) is None:
            if reason is not None:
                return self._not_up(port, PortState.ERROR, reason)
            if port.device is not None:
                # It was asked for a moment ago; the switch says a number or a problem.
                return None
            return self._not_up(
                port, PortState.DOWN, f"waiting for an interface with external_ids:iface-id={id}"
            )
        network, station = view.get(Network, port.network), view.station(id)
        if network is None or station is None or not self.is_switch_ready:
            return None
        unknown = [group for group in port.groups if view.get(Group, group) is None]
        if not all(map(self._is_group_heard, unknown)):
            return None
        if unknown:
            reason = f"group {unknown[0]} does not exist: take the port out of it"
            return self._not_up(port, PortState.ERROR, reason)
        tunnels = view.get(Tunnels, "")
        if tunnels is None or network.transport not in dict(tunnels.ofports):
            reason = f"this host has no {network.transport} tunnels: see option transports, and status"
            return self._not_up(port, PortState.ERROR, reason)
        refused = self._refused((Key("station", id), *self._policy_owners(station.policy)))
        if refused:
            return self._not_up(
                port, PortState.ERROR, f"the switch refuses {len(refused)} flows: {refused[0]}"
            )
        if not self._is_confirmed(Key("station", id)) or not self._is_in_force(station.policy):
            return None
        status = PortStatus(
            port=id,
            host=view.host,
            state=PortState.UP,
            sequence=port.sequence,
            took_ms=self._took_ms(port),
            mtu_bytes=view.mtu_bytes(network),
        )
        return Verdict(status, endpoint_of(port, view.host, station.multicast, station.ips))

    # -- flows

    def _refused(self, owners: Iterable[Key]) -> list[str]:
        """Why the switch does not take flows of these, a reason for each flow."""
        refusals = self._engine.switch.refusals
        if not refusals:
            return []
        made = {key for owner in owners for key in self._engine.compiler.made_by(owner)}
        return [refusal.reason for key, refusal in refusals.items() if key in made]

    def _is_confirmed(self, owner: Key) -> bool:
        """Whether the owner is compiled, and the switch has all that came of it."""
        made = self._engine.compiler.made_by(owner)
        return bool(made) and not self._engine.is_behind(owner) and self._engine.switch.in_step(made)

    def _is_in_force(self, policy: str) -> bool:
        """Whether the switch has all flows that a policy needs."""
        if not policy or (self._engine.switch.pending == 0 and self._engine.behind == 0):
            return True
        if policy not in self._in_step:
            owners = self._policy_owners(policy)
            made = self._engine.compiler.made_by
            self._in_step[policy] = not any(map(self._engine.is_behind, owners)) and all(
                self._engine.switch.in_step(made(owner)) for owner in owners
            )
        return self._in_step[policy]

    def _policy_owners(self, policy: str) -> tuple[Key, ...]:
        """Whose flows make up a policy: its own, its rules', and of what is in the sets that these name."""
        if policy not in self._of_policies:
            view, readers = self._engine.view, self._engine.compiler.readers
            owners = {Key("policy", policy): None}
            for group in policy.split(",") if policy else ():
                for id, rule in view.members("rules", group).items():
                    owners[Key("rule", id)] = None
                    if isinstance(rule, Rule) and rule.remote_set is not None:
                        owners.update(dict.fromkeys(readers(Key("uses", rule.remote_set))))
            self._of_policies[policy] = tuple(owners)
        return self._of_policies[policy]

    # -- words

    def _took_ms(self, port: Port) -> float | None:
        """Until the port was up for the first time; what is told later of a port that is up keeps it."""
        heard_at = self._engine.heard_at.get(port.id)
        if heard_at is not None:
            return round(1000 * (monotonic() - heard_at), 3)
        told = self._told(port.id)
        return told.took_ms if told is not None and told.sequence == port.sequence else None

    def _not_up(self, port: Port, state: PortState, reason: str) -> Verdict:
        status = PortStatus(
            port=port.id, host=self._engine.view.host, state=state, sequence=port.sequence, reason=reason
        )
        return Verdict(status, None)


def endpoint_of(
    port: Port, host: str, multicast: tuple[str, ...], ips: tuple[str, ...] | None = None
) -> Endpoint:
    """What a host says of a port of its own, which wants these multicast groups.

    `ips`: its addresses with those of its pairs that it claimed; None: it claimed none.
    """
    return Endpoint(
        network=port.network,
        port=port.id,
        mac=port.mac,
        host=host,
        ips=port.ips if ips is None else ips,
        sequence=port.sequence,
        multicast=multicast,
        groups=port.groups,
    )
