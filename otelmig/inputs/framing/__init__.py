"""What carries a log from the hypervisor to a file, and how it comes off.

``prefixes`` stand before each line and are known by themselves; a ``margin`` is whatever else stands before lines that
a hypervisor recognises. The ``journal`` and log stores give ``entries`` with a field for the line.
"""
