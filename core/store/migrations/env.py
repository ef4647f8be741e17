"""Run by Alembic. The connection, and the transaction it is in, come from `wisen.core.store.upgrade.migrate`."""

from alembic import context

from wisen.core.store.tables import Table
from wisen.core.store.upgrade import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite has it; Alembic's default for it says otherwise
    render_as_batch=True,  # SQLite cannot alter a table in place
)
with context.begin_transaction():
    context.run_migrations()
