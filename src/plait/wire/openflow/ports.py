"""Reserved port, group, table and buffer numbers. Source: OpenFlow 1.4.0, 7.2.1 and 7.3.4."""

from typing import Final

IN_PORT: Final = 0xFFFFFFF8
TABLE: Final = 0xFFFFFFF9
NORMAL: Final = 0xFFFFFFFA
FLOOD: Final = 0xFFFFFFFB
ALL: Final = 0xFFFFFFFC
CONTROLLER: Final = 0xFFFFFFFD
LOCAL: Final = 0xFFFFFFFE
ANY: Final = 0xFFFFFFFF

ALL_TABLES: Final = 0xFF
ANY_GROUP: Final = 0xFFFFFFFF
ALL_METERS: Final = 0xFFFFFFFF
NO_BUFFER: Final = 0xFFFFFFFF
WHOLE_PACKET: Final = 0xFFFF
"""As `max_len` of an output to the controller: send the whole packet, buffer nothing."""

PORT_NAMES: Final = {
    IN_PORT: "IN_PORT",
    TABLE: "TABLE",
    NORMAL: "NORMAL",
    FLOOD: "FLOOD",
    ALL: "ALL",
    CONTROLLER: "CONTROLLER",
    LOCAL: "LOCAL",
    ANY: "ANY",
}
