"""Feeds: what happens to runs, in order and once, for those who watch, whoever wrote it."""
