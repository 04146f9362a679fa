"""All SQL of the job engine, one module per kind of operation.

Each function runs on the connection that it is given. Those that need several statements open a
transaction, which is a savepoint when the caller is in one. Times are those of the database, so
that clocks of processes do not matter.
"""
