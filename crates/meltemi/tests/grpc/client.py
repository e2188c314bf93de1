"""A gRPC application: makes the calls that it is told of and says what came of them.

Each line of standard input is a JSON object with `target`, `calls` and `timeout` (seconds), and
maybe `metadata`. The answer is a line with `backends` and `errors`, each a number by name.
Channels stay open between lines, as in an application.
"""

import json
import sys
from collections import Counter

import grpc

channels = {}


def method(target):
    if target not in channels:
        channels[target] = grpc.insecure_channel(target)
    raw = {"request_serializer": bytes, "response_deserializer": bytes}
    return channels[target].unary_unary("/greeter.Greeter/Hello", **raw)


def run(order):
    backends, errors = Counter(), Counter()
    call = method(order["target"])
    metadata = list(order.get("metadata", {}).items())
    for _ in range(order["calls"]):
        try:
            answer, details = call.with_call(b"hello", order["timeout"], metadata)
            assert answer == b"hello"
            backends[dict(details.initial_metadata())["x-backend"]] += 1
        except grpc.RpcError as error:
            errors[f"{error.code().name}: {error.details()}"] += 1
    return {"backends": backends, "errors": errors}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
