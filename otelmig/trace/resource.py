"""Who speaks: the resource of each side, and where the name of its host comes from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from otelmig.migration.side import Mode, Role
from otelmig.printable import printable
from otelmig.trace import attributes as names
from otelmig.trace.attributes import dialect_attribute, version_attribute

if TYPE_CHECKING:
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.span import AttributeValue

__all__ = ["resource_of"]

_INSTANCES: Final = "4d63009a-8d0f-11ee-aad7-4c796ed8e320"
"""The namespace that OpenTelemetry's conventions give for ``service.instance.id``."""


def resource_of(side: Side, migration: Migration, options: TraceOptions) -> dict[str, AttributeValue]:
    """Return who speaks; nothing of it changes from one migration of a host to its next."""
    process = side.vmm
    resource: dict[str, AttributeValue] = {
        **options.resource,
        names.SERVICE_NAME: f"migration-{side.role}",
        names.SERVICE_NAMESPACE: names.NAMESPACE,
        names.VM_MIGRATION_ROLE: str(side.role),
        dialect_attribute(process.system): process.releases_text,
    }
    if process.version is not None:
        resource[names.SERVICE_VERSION] = process.version
        resource[version_attribute(process.system)] = process.version
    if side.role in options.hosts:
        resource[names.HOST_NAME] = printable(options.hosts[side.role])
        resource[names.OTELMIG_HOST_ORIGIN] = names.HostOrigin.OPTION
    elif process.host is not None and (process.host.name or process.host.id):
        resource |= {
            name: value
            for name, value in ((names.HOST_NAME, process.host.name), (names.HOST_ID, process.host.id))
            if value is not None and (options.addresses or not _is_address(value))
        }
        resource[names.OTELMIG_HOST_ORIGIN] = names.HostOrigin.TRANSPORT
    elif side.role is Role.DESTINATION and (address := _destination_ip(migration, options)) is not None:
        resource[names.HOST_IP] = (address,)
        resource[names.OTELMIG_HOST_ORIGIN] = names.HostOrigin.DESTINATION_URL
    host = resource.get(names.HOST_ID) or resource.get(names.HOST_NAME)
    if host is not None:  # never of the process: a series for each would be too many
        from uuid import UUID, uuid5  # noqa: PLC0415 - only where a host is known

        resource[names.SERVICE_INSTANCE_ID] = str(uuid5(UUID(_INSTANCES), f"{resource[names.SERVICE_NAME]}.{host}"))
    return resource


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _destination_ip(migration: Migration, options: TraceOptions) -> str | None:
    """Return the destination's address, if the source's URL gives one that names a single host."""
    source = migration.source
    url = None if source is None else source.sent.terms.url
    if source is None or url is None or source.mode is Mode.LOCAL or not options.addresses:
        return None
    try:
        address = ip_address(url.host or "")
    except ValueError:
        return None
    return None if address.is_loopback or address.is_unspecified else str(address)
