"""The emissions domain: files and feeds become data entries, emissions and totals.

The chain of an upload, one pipeline::

    csv_ingest | api_ingest | factor_ingest     data entries, or factors
        └─ emission_recalc  (per entry type)    emissions of the entries
              └─ aggregation  (one, at the end) totals of modules and reports

:mod:`handlers.emissions.service` is what the rest of the server calls. The rules of the domain are
in :mod:`handlers.emissions.model`. The three steps are plain functions of a connection
(:func:`~handlers.emissions.ingest.ingest_entries`, :func:`~handlers.emissions.recalc.recalculate`,
:func:`~handlers.emissions.aggregate.aggregate`): jobs call them, and so does the seed, inline.

What is simpler here than in the original: modules 3 and 5 have fewer entry types, purchases are in
euro only, and the type of a row in a file of several types is what its ``category`` column names.
"""
