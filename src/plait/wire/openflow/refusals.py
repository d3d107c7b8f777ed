"""The names of errors, as the tools of Open vSwitch print them.

Source: OpenFlow 1.4.0, 7.5.4; Nicira's extensions.
"""

from typing import Final

from plait.wire.openflow.nicira import NICIRA

_CODES: Final = {
    0: (
        "OFPHFC",
        "INCOMPATIBLE EPERM",
    ),
    1: (
        "OFPBRC",
        "BAD_VERSION BAD_TYPE BAD_STAT BAD_VENDOR BAD_SUBTYPE EPERM BAD_LEN BUFFER_EMPTY BUFFER_UNKNOWN "
        "BAD_TABLE_ID IS_SECONDARY BAD_PORT BAD_PACKET MULTIPART_BUFFER_OVERFLOW "
        "MULTIPART_REQUEST_TIMEOUT MULTIPART_REPLY_TIMEOUT",
    ),
    2: (
        "OFPBAC",
        "BAD_TYPE BAD_LEN BAD_VENDOR BAD_VENDOR_TYPE BAD_OUT_PORT BAD_ARGUMENT EPERM TOO_MANY BAD_QUEUE "
        "BAD_OUT_GROUP MATCH_INCONSISTENT UNSUPPORTED_ORDER BAD_TAG BAD_SET_TYPE BAD_SET_LEN "
        "BAD_SET_ARGUMENT",
    ),
    3: (
        "OFPBIC",
        "UNKNOWN_INST UNSUP_INST BAD_TABLE_ID UNSUP_METADATA UNSUP_METADATA_MASK BAD_EXPERIMENTER "
        "BAD_EXP_TYPE BAD_LEN EPERM DUP_INST",
    ),
    4: (
        "OFPBMC",
        "BAD_TYPE BAD_LEN BAD_TAG BAD_DL_ADDR_MASK BAD_NW_ADDR_MASK BAD_WILDCARDS BAD_FIELD BAD_VALUE "
        "BAD_MASK BAD_PREREQ DUP_FIELD EPERM",
    ),
    5: (
        "OFPFMFC",
        "UNKNOWN TABLE_FULL BAD_TABLE_ID OVERLAP EPERM BAD_TIMEOUT BAD_COMMAND BAD_FLAGS CANT_SYNC "
        "BAD_PRIORITY IS_SYNC",
    ),
    6: (
        "OFPGMFC",
        "GROUP_EXISTS INVALID_GROUP WEIGHT_UNSUPPORTED OUT_OF_GROUPS OUT_OF_BUCKETS CHAINING_UNSUPPORTED "
        "WATCH_UNSUPPORTED LOOP UNKNOWN_GROUP CHAINED_GROUP BAD_TYPE BAD_COMMAND BAD_BUCKET BAD_WATCH "
        "EPERM",
    ),
    7: (
        "OFPPMFC",
        "BAD_PORT BAD_HW_ADDR BAD_CONFIG BAD_ADVERTISE EPERM",
    ),
    8: (
        "OFPTMFC",
        "BAD_TABLE BAD_CONFIG EPERM",
    ),
    9: (
        "OFPQOFC",
        "BAD_PORT BAD_QUEUE EPERM",
    ),
    10: (
        "OFPSCFC",
        "BAD_FLAGS BAD_LEN EPERM",
    ),
    11: (
        "OFPRRFC",
        "STALE UNSUP BAD_ROLE",
    ),
    12: (
        "OFPMMFC",
        "UNKNOWN METER_EXISTS INVALID_METER UNKNOWN_METER BAD_COMMAND BAD_FLAGS BAD_RATE BAD_BURST "
        "BAD_BAND BAD_BAND_VALUE OUT_OF_METERS OUT_OF_BANDS",
    ),
    14: (
        "OFPBPC",
        "BAD_TYPE BAD_LEN BAD_VALUE TOO_MANY DUP_TYPE BAD_EXPERIMENTER BAD_EXP_TYPE BAD_EXP_VALUE EPERM",
    ),
    15: (
        "OFPACFC",
        "INVALID UNSUPPORTED EPERM",
    ),
    16: (
        "OFPMOFC",
        "UNKNOWN MONITOR_EXISTS INVALID_MONITOR UNKNOWN_MONITOR BAD_COMMAND BAD_FLAGS BAD_TABLE_ID BAD_OUT",
    ),
    17: (
        "OFPBFC",
        "UNKNOWN EPERM BAD_ID BUNDLE_EXIST BUNDLE_CLOSED OUT_OF_BUNDLES BAD_TYPE BAD_FLAGS MSG_BAD_LEN "
        "MSG_BAD_XID MSG_UNSUP MSG_CONFLICT MSG_TOO_MANY MSG_FAILED TIMEOUT BUNDLE_IN_PROGRESS",
    ),
}

_NAMES: Final = {
    (kind, code): f"{prefix}_{name}"
    for kind, (prefix, names) in _CODES.items()
    for code, name in enumerate(names.split())
}

_NICIRA_NAMES: Final = {
    2: "NXBRC_NXM_INVALID",
    3: "NXBRC_NXM_BAD_TYPE",
    4: "NXBRC_MUST_BE_ZERO",
    5: "NXBRC_BAD_REASON",
    9: "NXBRC_FM_BAD_EVENT",
    10: "NXBRC_UNENCODABLE_ERROR",
    11: "NXBAC_MUST_BE_ZERO",
    12: "NXFMFC_HARDWARE",
    13: "NXFMFC_BAD_TABLE_ID",
    15: "NXBAC_BAD_CONJUNCTION",
    22: "OFPBFC_BAD_VERSION",
    34: "NXR_NOT_SUPPORTED",
    35: "NXR_STALE",
    36: "NXST_NOT_CONFIGURED",
    37: "NXFMFC_INVALID_TLV_FIELD",
    42: "NXBAC_CT_DATAPATH_SUPPORT",
    43: "NXBMC_CT_DATAPATH_SUPPORT",
}


def error_name(kind: int, code: int, experimenter: int = 0) -> str:
    """The name of an error, or its numbers where it has none."""
    if kind == 0xFFFF:
        known = _NICIRA_NAMES.get(code) if experimenter == NICIRA else None
        return known or f"experimenter {experimenter:#010x} error {code}"
    return _NAMES.get((kind, code), f"type {kind} code {code}")
