"""The Collector, Jaeger, Tempo and Prometheus's engine, built once from their published modules and kept in a cache.

``python tests/backends/build.py`` builds what is missing. The folder in the cache is named after a digest of all that
goes into a build, so another version never meets an old binary. Everything compiled is checked against the committed
go.sum.

For other versions: edit ``go.mod`` in ``jaeger``, ``tempo`` or ``prometheus`` and run ``go mod tidy`` there (the
checksum database lacks modules of grafana, parquet-go and OpenTelemetry: name them in ``GONOSUMDB`` that once, go.sum
then pins them; no later Tempo was found in the proxy). Edit
``collector/builder.yaml``, run the builder without ``--skip-get-modules`` and take its go.mod and go.sum.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NO_GO", "RECIPES", "Recipe", "cache", "find_go", "locked"]

_HERE: Final = Path(__file__).parent
_BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder@v0.159.0"
_COMMANDS: Final = {
    "jaeger": "github.com/jaegertracing/jaeger/cmd/jaeger",
    "tempo": "github.com/grafana/tempo/cmd/tempo",
}
"""Programs that are a package of a module."""
_LDFLAGS: Final = "-ldflags=-s -w"
NO_GO: Final = "no Go on this machine (PATH, /usr/local/go): no backend is built or tested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a binary is built; ``module`` is the folder with all that defines it."""

    name: str
    module: Path

    def digest(self) -> str:
        """Of everything that the binary depends on."""
        found = hashlib.sha256(_BUILDER.encode())
        for path in sorted(self.module.iterdir()):
            found.update(b"%b\0%b\0" % (path.name.encode(), path.read_bytes()))
        return found.hexdigest()[:16]

    def binary(self) -> Path:
        """Where the binary is, or will be once it is built."""
        return cache() / f"{self.name}-{self.digest()}" / self.name

    def build(self, go: Path) -> Path:
        """The binary, built unless it is there; of several processes one builds and the others wait.

        Raises:
            subprocess.CalledProcessError: Go could not fetch, verify or compile it; its own words are on stderr.
        """
        binary = self.binary()
        folder = binary.parent
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if binary.exists():
                return binary
            begin = time.monotonic()
            _say(f"building {self.name}, once: about 5 to 15 minutes where nothing of it is in Go's cache")
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                shutil.copytree(self.module, work, dirs_exist_ok=True)
                built = self._compiled(Path(work), go)
                folder.mkdir(exist_ok=True)
                built.replace(binary)
            _say(f"built {binary} in {time.monotonic() - begin:.0f} s")
        return binary

    def _compiled(self, work: Path, go: Path) -> Path:
        environ = _environ(go)
        if self.name in _COMMANDS:
            flags = ["-mod=readonly", "-trimpath", _LDFLAGS]
            _run([go, "build", *flags, "-o", work / self.name, _COMMANDS[self.name]], work, environ)
            return work / self.name
        if self is PROMETHEUS:
            _run([go, "test", "-c", "-mod=readonly", "-trimpath", _LDFLAGS, "-o", work / self.name, "."], work, environ)
            return work / self.name
        _run([go, "install", _BUILDER], work, environ | {"GOBIN": str(work)})
        generate = ["--config=builder.yaml", "--skip-strict-versioning", "--skip-get-modules", "--skip-compilation"]
        _run([work / "builder", *generate], work, environ)
        source = work / "source"
        for name in ("go.mod", "go.sum"):
            shutil.copy(work / name, source / name)
        _run([go, "build", "-mod=readonly", "-trimpath", _LDFLAGS, "-o", self.name, "."], source, environ)
        return source / self.name


COLLECTOR: Final = Recipe(name="otelcol", module=_HERE / "collector")
JAEGER: Final = Recipe(name="jaeger", module=_HERE / "jaeger")
TEMPO: Final = Recipe(name="tempo", module=_HERE / "tempo")
PROMETHEUS: Final = Recipe(name="promqltest", module=_HERE / "prometheus")
RECIPES: Final = (COLLECTOR, JAEGER, TEMPO, PROMETHEUS)


def find_go() -> Path | None:
    """The ``go`` command: the machine's, else that of this environment (dependency group ``go``), if there is one."""
    places = (None, "/usr/local/go/bin", str(Path(sys.executable).parent))
    return next((Path(found) for place in places if (found := shutil.which("go", path=place))), None)


def _environ(go: Path) -> dict[str, str]:
    """No flag of the caller's, and no module exempt from verification; an older Go may fetch a newer one."""
    dropped = ("GOFLAGS", "GOPRIVATE", "GONOSUMDB", "GONOSUMCHECK", "GOWORK", "GOOS", "GOARCH", "GOTOOLCHAIN")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = f"{go.parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept | {"PATH": path, "GOTOOLCHAIN": "auto", "GOWORK": "off", "CGO_ENABLED": "0"}


def _run(command: list[str | Path], folder: Path, environ: Mapping[str, str]) -> None:
    subprocess.run(command, cwd=folder, env=environ, check=True, stdout=sys.stderr)


def cache() -> Path:
    """Return the folder that keeps what was built or fetched for the tests."""
    chosen = os.environ.get("OTELMIG_BACKENDS")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else home / "otelmig-backends"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file that one process at a time can hold; the others wait."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another process is building: waiting for {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    """Build all; without Go, say so: an error where CI is set, since nothing may be left out there."""
    go = find_go()
    if go is None:
        _say(NO_GO)
        return 1 if os.environ.get("CI") else 0
    for recipe in RECIPES:
        recipe.build(go)
    return 0


if __name__ == "__main__":
    sys.exit(main())
