"""Read models of the HTTP API and of the command line. Nothing in here writes.

Who may see what is a condition of every statement (``projects``), never a filter afterwards. What
is sent as JSON is made as JSON by the database.
"""
