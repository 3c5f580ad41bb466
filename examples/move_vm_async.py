"""Move a VM between two Cloud Hypervisor processes: `move_vm_async.py SOURCE.sock DESTINATION.sock tcp:HOST:PORT`."""

import json
import sys
from asyncio import TaskGroup, open_unix_connection, run, sleep, timeout

from otelmig.instrument import migration


async def call(socket: str, name: str, **body: str) -> None:
    """Ask for something and wait for the answer: 204, or an error with its causes."""
    reader, writer = await open_unix_connection(socket)
    try:
        text = json.dumps(body)
        writer.write(f"PUT /api/v1/vm.{name} HTTP/1.1\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if (status := head.split()[1]) != "204":
            _, _, size = head.partition("content-length: ")
            raise RuntimeError(f"{status} {(await reader.readexactly(int(size.split()[0]))).decode()}")
    finally:
        writer.close()


async def move(source: str, destination: str, url: str, longest_s: float = 3600) -> None:
    """Return once the VM runs at the destination."""
    async with (
        migration(destination_url=url, system="cloud_hypervisor"),
        timeout(longest_s),
        TaskGroup() as calls,  # if one call fails, the other one is given up
    ):
        listen = f"tcp:0.0.0.0:{url.rpartition(':')[2]}"
        calls.create_task(call(destination, "receive-migration", receiver_url=listen))  # answers at the end
        await sleep(0.2)  # until it listens: it answers nothing any more
        await call(source, "send-migration", destination_url=url)  # up to v52 at the end, from v53 on at once


if __name__ == "__main__":
    run(move(sys.argv[1], sys.argv[2], sys.argv[3]))
