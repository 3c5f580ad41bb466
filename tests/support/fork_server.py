"""The command in a process of its own for the price of a fork.

Starting Python and importing what an export needs takes 0.3 s of CPU time, which is most of what a test of the whole
command costs. One process (the server) imports every module of the package once and forks for each command. Such a
command has its own process id, arguments, environment, folder and standard streams, runs ``otelmig/__main__.py`` to
its end, and leaves through the interpreter's own exit.

Only its modules are not taken apart one by one once everything else is over, which takes longer than the fork.

What it does not have is a start of its own. Tests of what is imported when, of streams that are closed, of limits set
before the start, or of variables that Python reads at its start begin a fresh interpreter instead.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Process", "close", "finished", "forked_cpu_s", "start"]

_LONGEST_REQUEST: Final = 1 << 20
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG")
"""Beginnings of the names of variables that only the start of an interpreter looks at."""
_NOT_IMPORTED: Final = (
    ".__main__",
    ".sdk_spans",  # no command needs it, and it brings the SDK
    ".grpc",  # reads variables when it is imported, and starts threads
)
_OF_THE_CALLER: Final = ("OTEL", "TRACEPARENT", "COLUMNS")

# --- the tests' side ----------------------------------------------------------------------------------------------


class Process:
    """A command that was started; to be waited for, like a ``subprocess.Popen``."""

    def __init__(self, status: IO[bytes], stdout: int | None, stderr: int | None) -> None:
        self._status = status
        self._pipes = {"stdout": stdout, "stderr": stderr}
        self.pid: Final = int(status.readline() or b"-1")
        self.returncode: int | None = None
        if self.pid < 0:
            raise RuntimeError("the fork server is gone")

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), or None while the command runs."""
        return self._ended(0)

    def wait(self, timeout_s: float = 60) -> int:
        """Wait for the end; return the exit code."""
        code = self._ended(timeout_s)
        if code is None:
            raise TimeoutError(f"process {self.pid} runs for more than {timeout_s} s")
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the command is over: it may be, although the server has not said so yet."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless the command is over."""
        self.send_signal(signal.SIGKILL)

    def readline(self) -> str:
        """Return the next line of standard error."""
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self._pipes["stderr"] or 0, 1)):
            line += byte
        return line.decode()

    def communicate(self, timeout_s: float = 60) -> tuple[str, str]:
        """Read both pipes to their ends and wait; return what came out of them ("" where there is no pipe)."""
        texts = dict.fromkeys(self._pipes, b"")
        until = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            for name, pipe in self._pipes.items():
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, name)
            while selector.get_map():
                ready = selector.select(max(until - time.monotonic(), 0))
                if not ready:
                    self.kill()
                    raise TimeoutError(f"process {self.pid} goes on after {timeout_s} s: {texts}")
                for key, _ in ready:
                    chunk = os.read(key.fd, 1 << 16)
                    texts[key.data] += chunk
                    if not chunk:
                        selector.unregister(key.fd)
        self.wait(max(until - time.monotonic(), 1))
        return texts["stdout"].decode(), texts["stderr"].decode()

    def close(self) -> None:
        """End the command if it still runs, and close its pipes."""
        self.kill()
        self.wait()
        self._status.close()
        for pipe in self._pipes.values():
            if pipe is not None:
                os.close(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ended(self, timeout_s: float) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._status, selectors.EVENT_READ)
                if not selector.select(timeout_s):
                    return None
            ended = json.loads(self._status.readline())
            _cpu_s.append(ended["cpu_s"])
            self.returncode = ended["code"]
        return self.returncode


_cpu_s: Final[list[float]] = []


def forked_cpu_s() -> float:
    """Return the CPU time of the commands that are over, in seconds, as long as they are the server's children alone.

    Once the server is waited for, they count as children of this process.
    """
    return sum(_cpu_s)


def start(
    *arguments: str | Path,
    cwd: Path,
    environ: Mapping[str, str],
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
) -> Process:
    """Start ``otelmig`` with these arguments; ``environ`` is added to this process's environment.

    The caller's OpenTelemetry settings are left out. ``stdout`` and ``stderr`` are as for ``subprocess.Popen``.

    Raises:
        ValueError: a variable has an effect only at the start of an interpreter.
    """
    late = [name for name in environ if name.startswith(_READ_AT_START)]
    if late:
        raise ValueError(f"only the start of an interpreter reads {', '.join(late)}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
    request = {"arguments": [*map(str, arguments)], "cwd": str(cwd), "environ": clean | dict(environ)}
    opened: list[int] = []
    pipes: list[int | None] = []

    def writing_end(stream: int | None, number: int) -> int:
        reading = None
        if stream == subprocess.PIPE:
            reading, stream = os.pipe()
            opened.append(stream)
        elif stream == subprocess.DEVNULL:
            stream = os.open(os.devnull, os.O_RDWR)
            opened.append(stream)
        pipes.append(reading)
        return number if stream is None else stream

    streams = [0, writing_end(stdout, 1), writing_end(stderr, 2)]
    status, its_status = os.pipe()
    opened.append(its_status)
    socket.send_fds(_SERVER.requests(), [json.dumps(request).encode()], [*streams, its_status])
    for descriptor in opened:
        os.close(descriptor)
    return Process(os.fdopen(status, "rb", buffering=0), *pipes)


def finished(*arguments: str | Path, cwd: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``otelmig`` to its end; return its exit code and what it printed."""
    with start(*arguments, cwd=cwd, environ=environ) as process:
        stdout, stderr = process.communicate(timeout_s=120)
        return subprocess.CompletedProcess([*map(str, arguments)], process.wait(), stdout, stderr)


class _Server:
    """The process that forks, once it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def requests(self) -> socket.socket:
        """Return the socket on which the server takes requests; start the server if it does not run."""
        if self._requests is None:
            self._requests, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_REQUEST)
            environ = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
            command = [sys.executable, "-P", __file__, str(its.fileno())]
            self._process = subprocess.Popen(command, env=environ, pass_fds=[its.fileno()], start_new_session=True)
            its.close()
        return self._requests

    def close(self) -> None:
        """End the server, and every command that still runs."""
        if self._requests is not None and self._process is not None:
            self._requests.close()
            self._process.wait()
            self._requests = self._process = None
            _cpu_s.clear()


_SERVER: Final = _Server()


def close() -> None:
    """End the server, if there is one, and every command that still runs."""
    _SERVER.close()


# --- the server's side --------------------------------------------------------------------------------------------


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; return it in the new process, and None in this one at the end."""
    running: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    selector.unregister(key.fd)
                    _report(key.fd, *running.pop(key.fd))
                    continue
                data, descriptors, _, _ = socket.recv_fds(control, _LONGEST_REQUEST, 4)
                if not data:
                    for pid, _ in running.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                *streams, status = descriptors
                pid = os.fork()
                if pid == 0:
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                    request: dict[str, Any] = json.loads(data)
                    return request
                for stream in streams:
                    os.close(stream)
                os.write(status, b"%d\n" % pid)
                handle = os.pidfd_open(pid)
                running[handle] = (pid, status)
                selector.register(handle, selectors.EVENT_READ)


def _report(handle: int, pid: int, status: int) -> None:
    """Say how the command ended and what it used."""
    _, code, usage = os.wait4(pid, 0)
    ended = {"code": os.waitstatus_to_exitcode(code), "cpu_s": usage.ru_utime + usage.ru_stime}
    os.write(status, json.dumps(ended).encode() + b"\n")
    os.close(handle)
    os.close(status)


def _become(request: dict[str, Any]) -> None:
    """Make this process what a shell would have started; its standard streams are in place."""
    highest, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, min(highest, 1 << 10))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["otelmig", *request["arguments"]]


def _import_everything() -> None:
    """Import the modules of the package, and with them what they need."""
    package = importlib.import_module("otelmig")
    for module in pkgutil.walk_packages(package.__path__, "otelmig."):
        if not module.name.endswith(_NOT_IMPORTED):
            importlib.import_module(module.name)


def _keep_modules() -> None:
    """Have the interpreter find no modules to take apart, as the last of what is done at the exit.

    Threads are waited for and streams are flushed as ever; the modules are held by each other, frozen.
    """
    own = {name: sys.modules[name] for name in ("sys", "builtins")}
    sys.modules.clear()
    sys.modules.update(own)


if __name__ == "__main__":
    atexit.register(_keep_modules)  # what is registered later is called earlier
    _import_everything()
    _modules = [*sys.modules.values()]  # this one among them, so that nothing outside has to hold the list
    gc.collect()
    gc.freeze()  # else every command would touch, and so copy, all of these objects when it looks for cycles
    with socket.socket(fileno=int(sys.argv[1])) as socket_of_the_tests:
        wanted = _serve(socket_of_the_tests)
    if wanted is not None:
        _become(wanted)
        runpy.run_module("otelmig", run_name="__main__", alter_sys=True)
