"""The command line: one module per command.

A command module has ``register(commands)``, which adds its parser and sets ``run`` as default, and
``run(options, out)``, which returns an exit code (:mod:`handlers.cli.exit_codes`). What cannot be
done is raised as :class:`handlers.cli.errors.CommandError`: what happened, why, what to do.
"""
