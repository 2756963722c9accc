"""An engine whose gRPC listens half a second after its REST is ready, as a busy machine may have it.

Run as a program in place of the engine that LATE_GRPC_ENGINE names: it becomes that engine, with its gRPC on another
port; a child of it, which ends with it, listens on the one that was asked for, later, and passes bytes on.
"""

import asyncio
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_LATE_SECONDS = 0.5
_PORT = "QDRANT__SERVICE__GRPC_PORT"


async def listen_late(rest: int, asked: int, real: int) -> None:
    """Wait for REST and a while longer; then pass every connection on."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", rest)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            break
    await asyncio.sleep(_LATE_SECONDS)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until there are no more."""
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        to_engine = await asyncio.open_connection("127.0.0.1", real)
        await asyncio.gather(pump(reader, to_engine[1]), pump(to_engine[0], writer), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", asked)
    await server.serve_forever()


def main() -> None:
    """Become the engine; leave the rest to a child."""
    engine = os.environ["LATE_GRPC_ENGINE"]
    if len(sys.argv) == 1:
        asked = int(os.environ[_PORT])
        real = int(os.environ["LATE_GRPC_PORT"])
        parent = os.getpid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                asyncio.run(listen_late(int(os.environ["QDRANT__SERVICE__HTTP_PORT"]), asked, real))
            os._exit(0)
        os.environ[_PORT] = str(real)
    os.execv(engine, [engine, *sys.argv[1:]])  # noqa: S606 - it becomes the engine


if __name__ == "__main__":
    main()
