"""The gRPC server: the services, keys, errors in Qdrant's codes. What a call does is the core's business."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, Final

import grpc

from local.engine.access import Access, Keys
from local.engine.node import Node
from local.engine.options import Options
from local.engine.refusal import as_refusal
from local.engine.rpc.collections import collections_service
from local.engine.rpc.points import points_service
from local.engine.rpc.stubs import grpc_messages as messages

_UNLIMITED: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ALREADY_EXISTS,
    422: grpc.StatusCode.INVALID_ARGUMENT,
}
_READS: Final = (
    "Get", "List", "ListCollectionAliases", "ListAliases", "CollectionExists",
    "Scroll", "Search", "Count", "Query", "QueryBatch",
)  # fmt: skip

Method = Callable[[Any], Any]


async def start_grpc(node: Node, options: Options, pool: Executor) -> grpc.aio.Server:
    """Start listening; answer the server."""
    keys = Keys(options.api_key, options.read_only_api_key)
    server = grpc.aio.server(options=_UNLIMITED)
    services = {
        "qdrant.Qdrant": {"HealthCheck": (lambda _: _health(options.version), messages.HealthCheckRequest)},
        "qdrant.Collections": collections_service(node),
        "qdrant.Points": points_service(node),
    }
    for service, methods in services.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _handler(name, method, keys, pool),
                request_deserializer=request.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for name, (method, request) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"{options.host}:{options.grpc_port}")
    await server.start()
    return server


def _health(version: str) -> Any:
    return messages.HealthCheckReply(title="qdrant - vector search engine", version=version, commit="embedded")


def _handler(name: str, method: Method, keys: Keys, pool: Executor) -> Callable[[Any, Any], Awaitable[Any]]:
    async def handle(request: Any, context: Any) -> Any:
        if name != "HealthCheck":
            access, why = keys.access(dict(context.invocation_metadata()))
            if access is Access.NONE:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, why)
            if access is Access.READ and name not in _READS:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"Forbidden: {why}")
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, method, request)
        except Exception as error:  # noqa: BLE001  (the boundary: every failure has Qdrant's code)
            refusal = as_refusal(error)
            await context.abort(_CODES.get(refusal.status, grpc.StatusCode.INTERNAL), refusal.text)

    return handle
