"""What an operating system and the standard library of Rust call an error: the same words on every machine.

They name no file, no host and nobody, and they are what people search for; so they may be exported as they are.
One text a line: glibc's and musl's ``strerror`` (Linux), then ``std::io`` (constant messages, and the names of kinds).
"""

from __future__ import annotations

from typing import Final

__all__ = ["SYSTEM_WORDS"]

_GLIBC: Final = """\
.lib section in a.out corrupted
Accessing a corrupted shared library
Address already in use
Address family not supported by protocol
Advertise error
Argument list too long
Attempting to link in too many shared libraries
Bad address
Bad file descriptor
Bad font file format
Bad message
Block device required
Broken pipe
Can not access a needed shared library
Cannot allocate memory
Cannot assign requested address
Cannot exec a shared library directly
Cannot send after transport endpoint shutdown
Channel number out of range
Communication error on send
Connection refused
Connection reset by peer
Connection timed out
Destination address required
Device not a stream
Device or resource busy
Directory not empty
Disk quota exceeded
Exchange full
Exec format error
File descriptor in bad state
File exists
File name too long
File too large
Function not implemented
Host is down
Identifier removed
Illegal seek
Inappropriate file type or format
Inappropriate ioctl for device
Input/output error
Interrupted system call
Interrupted system call should be restarted
Invalid argument
Invalid cross-device link
Invalid exchange
Invalid or incomplete multibyte or wide character
Invalid request code
Invalid request descriptor
Invalid slot
Is a directory
Is a named type file
Key has been revoked
Key has expired
Key was rejected by service
Level 2 halted
Level 2 not synchronized
Level 3 halted
Level 3 reset
Link has been severed
Link number out of range
Machine is not on the network
Memory page has hardware error
Message too long
Multihop attempted
Name not unique on network
Network dropped connection on reset
Network is down
Network is unreachable
No anode
No buffer space available
No child processes
No CSI structure available
No data available
No locks available
No medium found
No message of desired type
No route to host
No space left on device
No such device
No such device or address
No such file or directory
No such process
No XENIX semaphores available
Not a directory
Not a XENIX named type file
Numerical argument out of domain
Numerical result out of range
Object is remote
Operation already in progress
Operation canceled
Operation not permitted
Operation not possible due to RF-kill
Operation not supported
Operation now in progress
Out of streams resources
Owner died
Package not installed
Permission denied
Protocol driver not attached
Protocol error
Protocol family not supported
Protocol not available
Protocol not supported
Protocol wrong type for socket
Read-only file system
Remote address changed
Remote I/O error
Required key not available
Resource deadlock avoided
Resource temporarily unavailable
RFS specific error
Socket operation on non-socket
Socket type not supported
Software caused connection abort
Srmount error
Stale file handle
State not recoverable
Streams pipe error
Structure needs cleaning
Success
Text file busy
Timer expired
Too many levels of symbolic links
Too many links
Too many open files
Too many open files in system
Too many references: cannot splice
Too many users
Transport endpoint is already connected
Transport endpoint is not connected
Value too large for defined data type
Wrong medium type
"""
_MUSL: Final = """\
Address in use
Address not available
Cannot send after socket shutdown
Connection aborted
Connection reset by network
Cross-device link
Data consistency error
Device timeout
Domain error
Filename too long
Host is unreachable
I/O error
Illegal byte sequence
Invalid seek
Message too large
Network unreachable
No child process
No error information
No file descriptors available
Not a socket
Not a tty
Not supported
Operation in progress
Operation timed out
Out of memory
Previous owner died
Quota exceeded
Resource busy
Resource deadlock would occur
Resource not available
Result not representable
Socket is connected
Socket not connected
Symbolic link loop
Value too large for data type
"""
"""Where musl says it in other words: a VMM that is linked statically uses these."""
_RUST: Final = """\
a formatting trait implementation returned an error when the underlying stream did not
address in use
address not available
advancing io slices beyond their length
broken pipe
cannot set a 0 duration timeout
connection aborted
connection refused
connection reset
could not resolve to any addresses
cross-device link or rename
data provided contains a nul byte
deadlock
directory not empty
entity already exists
entity not found
executable file busy
failed to fill whole buffer
failed to write whole buffer
file name contained an unexpected NUL byte
file too large
filesystem loop or indirection limit (e.g. symlink loop)
formatter error
host unreachable
invalid data
invalid filename
invalid input parameter
invalid port value
invalid seek to a negative or overflowing position
invalid socket address
is a directory
network down
network unreachable
no addresses to send data to
no storage space
not a directory
not connected
operation interrupted
operation not supported on this platform
operation would block
other error
out of memory
path must be shorter than SUN_LEN
paths may not contain interior null bytes
paths must not contain interior null bytes
permission denied
quota exceeded
read-only filesystem or storage medium
resource busy
seek on unseekable file
stale network file handle
stream did not contain valid UTF-8
timed out
too many links
unable to fill buffer
uncategorized error
unexpected end of file
unsupported
write zero
"""

SYSTEM_WORDS: Final = frozenset((_GLIBC + _MUSL + _RUST).splitlines())
"""Every text, as it is printed."""
