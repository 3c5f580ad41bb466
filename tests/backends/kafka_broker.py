"""Apache Kafka from its published artifacts: one process that is broker and controller, up within seconds.

Maven resolves it once (46 MB) and keeps it; ``python tests/backends/kafka_broker.py`` does that. Java and Maven are
Debian's ``default-jre-headless`` and ``maven``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from backends.build import cache, locked
from backends.server import Server

__all__ = ["NO_JAVA", "broker", "find_java", "resolved"]

_POM: Final = Path(__file__).parent / "kafka" / "pom.xml"
_RESOLVE: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:build-classpath"
NO_JAVA: Final = "no Java, or no Maven, on this machine (PATH): nothing is tested through Kafka"
_MEMORY: Final = "-Xmx384m"
_IDENTITY: Final = "b3RlbG1pZy1pbi10ZXN0cw"  # any 16 bytes in base64
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/log
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
"""


def find_java() -> tuple[Path, Path] | None:
    """Return ``java`` and ``mvn``, if both are there."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    return (Path(java), Path(maven)) if java and maven else None


def resolved(maven: Path) -> str:
    """Return the class path of the broker, whose archives Maven has fetched unless it has them.

    Raises:
        subprocess.CalledProcessError: Maven could not fetch or verify them; its own words are on stderr.
    """
    path = cache() / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]}.classpath"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if path.exists() and all(Path(archive).exists() for archive in path.read_text().split(os.pathsep)):
            return path.read_text()
        command: list[str | Path] = [
            maven,
            "-q",
            "-B",
            "--strict-checksums",
            "-f",
            _POM,
            _RESOLVE,
            f"-Dmdep.outputFile={path}",
        ]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return path.read_text()


def broker(java: Path, classpath: str, folder: Path, port: int, controller: int) -> Server:
    """Return a broker that keeps what it has in ``folder``; it is not started yet."""
    folder.mkdir(parents=True)
    properties = folder / "server.properties"
    properties.write_text(_PROPERTIES.format(port=port, controller=controller, folder=folder))
    command: list[str | Path] = [java, _MEMORY, "-cp", classpath]
    tool: list[str | Path] = ["kafka.tools.StorageTool", "format", "-t", _IDENTITY, "-c", properties]
    subprocess.run([*command, *tool], check=True, capture_output=True)
    return Server(
        [*command, "kafka.Kafka", properties], health=f"tcp://127.0.0.1:{port}", log=folder.with_suffix(".output")
    )


def main() -> int:
    """Resolve it; without Java, say so: an error where CI is set, since nothing may be left out there."""
    found = find_java()
    if found is None:
        sys.stderr.write(f"{NO_JAVA}\n")
        return 1 if os.environ.get("CI") else 0
    resolved(found[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
