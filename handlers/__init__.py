"""The run gateway: which socket, which topic, which message does what."""
