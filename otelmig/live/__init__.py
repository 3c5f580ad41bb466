"""The same for lines that come in: attempts that end, partners that come late, state that survives.

``state`` (what is on the disk) -> ``logs`` (lines -> sides) -> ``waiting`` (sides -> migrations that are ready) ->
``assembly`` (all of them: records in, traces out; it knows no thread, no socket and no clock) -> ``receiving`` (the
requests of a fleet) or ``local`` (the files of one machine).
"""
