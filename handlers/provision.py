"""A project spec in a file becomes a project in the database.

Idempotent: the same file again changes nothing, and a changed graph makes a new snapshot, so that
runs that exist keep what they were started with. What is read and refused is told by
:mod:`handlers.spec`; how it is stored, by :mod:`schema.projects`.
"""

from pathlib import Path

from handlers import keyring
from handlers.config import Settings
from handlers.spec import read_spec
from schema import projects
from schema.projects import Provisioned
from schema.refused import Refused
from schema.repo import Repo


async def provision_file(repo: Repo, settings: Settings, path: Path) -> Provisioned | Refused:
    """Bring the project that a file describes into the database; all of it or nothing.

    Args:
        repo: Where to.
        settings: Whose key encrypts the credentials.
        path: The file.

    Returns:
        What is stored now; else the refusal of the database, and nothing is stored.

    Raises:
        SpecError: The file is no valid project spec; it names each problem with its line.
        OSError: The file cannot be read.
    """
    spec = read_spec(path)
    cipher = keyring.cipher(settings)
    return await projects.provision(repo, spec, cipher, options=spec.options)
