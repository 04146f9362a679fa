"""One module per message of a worker: decode, one statement, reply, broadcast."""
