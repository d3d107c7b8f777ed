#!/bin/sh
# Makes etcd_pb2.py and etcd_pb2.pyi from etcd.proto, in an environment of its own. The compiler's version decides
# which protobuf runtimes can read the result: 6.31 and newer, one major version further included.
set -eu
cd "$(dirname "$0")"
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
"$environment/bin/pip" -q install grpcio-tools==1.73.1
"$environment/bin/python" -m grpc_tools.protoc -I. --python_out=. --pyi_out=. etcd.proto
