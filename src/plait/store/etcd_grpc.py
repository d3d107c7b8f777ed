"""gRPC without its own log.

Its C core writes lines of its own to stderr (a failed TLS handshake, for one), in the midst of a command's
output; the same comes to us as an error. The variable counts only before gRPC's first import, so everybody
in this layer imports it from here.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

__all__ = ["grpc"]
