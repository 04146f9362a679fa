"""Websockets on an ``asyncio.Protocol``, driven by the sans-I/O core of ``websockets``."""
