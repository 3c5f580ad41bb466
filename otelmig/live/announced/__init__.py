"""What programs that start migrations announce, and which migration each of them asked for.

No hypervisor passes a trace context on. A caller says in a log record of its own trace that it asks for a migration,
and in another one that it has the answer; the migration that began in between, at the same endpoint, is the one. All
times are those at which the service received what is compared, so that no clock of another machine matters.
"""
