"""The order of migrations is that of their files' names, and Alembic's."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import migrations


def test_files_of_migrations_are_ordered_as_alembic_orders_them() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    versions = ScriptDirectory.from_config(config).walk_revisions()
    assert migrations.revisions() == [version.revision for version in versions][::-1]
