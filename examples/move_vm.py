"""Move a VM between two Cloud Hypervisor processes: `move_vm.py SOURCE.sock DESTINATION.sock tcp:HOST:PORT`."""

import json
import socket
import sys
from contextlib import closing
from http.client import HTTPConnection
from time import sleep

from otelmig.instrument import migration


def connect(path: str, timeout: float) -> HTTPConnection:
    """Return a connection to an API socket."""
    api = HTTPConnection("localhost", timeout=timeout)
    api.sock = socket.socket(socket.AF_UNIX)
    api.sock.settimeout(timeout)
    api.sock.connect(path)
    return api


def move(source: str, destination: str, url: str, longest_s: float = 3600) -> None:
    """Return once the VM runs at the destination."""
    to, here = connect(destination, longest_s), connect(source, longest_s)
    with closing(to), closing(here), migration(destination_url=url, system="cloud_hypervisor"):
        listen = json.dumps({"receiver_url": f"tcp:0.0.0.0:{url.rpartition(':')[2]}"})
        to.request("PUT", "/api/v1/vm.receive-migration", listen)
        sleep(0.2)  # it says nothing until the migration has ended, not even that it listens
        here.request("PUT", "/api/v1/vm.send-migration", json.dumps({"destination_url": url}))
        # Up to v52 the source answers at the end, from v53 on when it has begun: then the destination alone tells the
        # end, and if the source does not reach it, nobody does before the time-out.
        for api in (here, to):
            if (answer := api.getresponse()).status != 204:
                raise RuntimeError(f"{answer.status} {answer.read().decode()}")


if __name__ == "__main__":
    move(sys.argv[1], sys.argv[2], sys.argv[3])
