"""What clients of plain HTTP are given: without it each reads all authorities of the machine."""

import ssl
from typing import Final

PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, which is fine where nobody is asked who he is."""
