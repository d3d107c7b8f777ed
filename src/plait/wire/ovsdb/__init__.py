"""OVSDB (RFC 7047) without sockets: JSON-RPC, values, requests, the replica of a database and the session."""
