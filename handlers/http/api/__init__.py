"""The JSON API of runs: one module per resource, statements in :mod:`schema.reading`."""
