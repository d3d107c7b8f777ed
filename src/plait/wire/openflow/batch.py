"""Modifications sent together, and the errors that they cause: one bundle, or one after the other.

Rule 1: a barrier closes what was sent; only after its reply is it known whether an error will come.
Rule 2: the switch commits a bundle without the messages that it refused. So a bundle is committed only when
the barrier after its last message came back without any error, and discarded otherwise.

    bundle:  OPEN, ADD*, BARRIER --reply--> COMMIT or DISCARD, BARRIER --reply--> done
    plain:   mod*, BARRIER --reply--> done

A batch owns a block of xids: the first for OPEN, one for each modification, one for each step after. This
is how an error names the modification that caused it.
"""

from collections.abc import Sequence
from struct import error as StructError  # noqa: N812 - a class of that name
from typing import Final

import msgspec

from plait.wire.openflow.bundle import BundleControl, BundleStep, bundle_add
from plait.wire.openflow.framing import MessageType, frame
from plait.wire.openflow.messages import OpenFlowError
from plait.wire.openflow.mods import Mod

STEPS: Final = 4
"""How many xids a batch needs beside those of its modifications."""


class ModError(msgspec.Struct, frozen=True):
    """The switch refused `mod`, which was `mods[index]`; both are None when it refused the bundle as a whole.

    `text` is the name of the error, like OFPBAC_BAD_OUT_GROUP.
    """

    index: int | None
    mod: Mod | None
    type: int
    code: int
    text: str


class BatchDone(msgspec.Struct, frozen=True):
    """A batch is finished. Without errors everything was carried out; with errors nothing of a bundle was."""

    handle: int
    errors: tuple[ModError, ...]


class Batch:
    """One batch; `bundle_id` is None for modifications that are sent plainly."""

    def __init__(self, mods: Sequence[Mod], first_xid: int, bundle_id: int | None) -> None:
        self.handle = first_xid
        self._mods = mods
        self._bundle_id = bundle_id
        self._barrier = first_xid + len(mods) + 1
        self._errors: dict[int, OpenFlowError] = {}
        self.is_done = False

    def start(self) -> bytes:
        """Everything up to the first barrier.

        Raises ValueError, naming the modification that can't be encoded.
        """
        out: list[bytes] = []
        bundle_id = self._bundle_id
        if bundle_id is not None:
            out.append(BundleControl(bundle_id, BundleStep.OPEN_REQUEST).encode(self.handle))
        xid = self.handle
        try:
            for mod in self._mods:
                xid += 1
                message = mod.encode(xid)
                out.append(message if bundle_id is None else bundle_add(bundle_id, xid, message))
        except (StructError, ValueError) as error:
            index = xid - self.handle - 1
            raise ValueError(f"mods[{index}] can't be encoded: {error}: {self._mods[index]}") from None
        out.append(frame(MessageType.BARRIER_REQUEST, self._barrier))
        return b"".join(out)

    def owns(self, xid: int) -> bool:
        """Whether a message of this batch was sent under `xid`."""
        return 0 <= xid - self.handle < len(self._mods) + STEPS

    def refused(self, xid: int, error: OpenFlowError) -> None:
        """The switch answered a message of this batch by an error; the first one counts."""
        self._errors.setdefault(xid, error)

    def passed_barrier(self, xid: int) -> bytes:
        """The switch is through with everything before the barrier `xid`; what is to be sent now."""
        if xid != self._barrier:
            return b""
        close_xid = self.handle + len(self._mods) + 2
        if self._bundle_id is None or self._barrier > close_xid:
            self.is_done = True
            return b""
        step = BundleStep.DISCARD_REQUEST if self._errors else BundleStep.COMMIT_REQUEST
        self._barrier = close_xid + 1
        return BundleControl(self._bundle_id, step).encode(close_xid) + frame(
            MessageType.BARRIER_REQUEST, self._barrier
        )

    def result(self) -> BatchDone:
        """The errors, by modification.

        One of the bundle itself is told only when no modification explains it.
        """
        whole: list[ModError] = []
        single: list[ModError] = []
        opened = self.handle not in self._errors
        for xid, error in sorted(self._errors.items()):
            index = xid - self.handle - 1
            if opened and 0 <= index < len(self._mods):
                single.append(ModError(index, self._mods[index], error.type, error.code, error.text))
            elif index < 0 or index >= len(self._mods):
                whole.append(ModError(None, None, error.type, error.code, error.text))
        return BatchDone(self.handle, tuple(single or whole))
