"""Messages that are compressed by permessage-deflate."""

import zlib

DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")
"""The header that asks for it."""


def deflated(data: bytes) -> bytes:
    """The payload of a compressed message that depends on no other; its frame has `rsv=4`."""
    squeeze = zlib.compressobj(wbits=-12)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
