"""Nodes of an AI4EU Experiments (Eclipse Graphene) pipeline: databroker, data processing and training."""

from importlib.util import find_spec

if find_spec("grpc") is None or find_spec("grpc_tools") is None:
    raise ModuleNotFoundError("the nodes of Graphene need grpcio and grpcio-tools: pip install 'aura-ecg[graphene]'")
