"""Environment of Alembic: runs the migrations on the connection of the caller."""

from alembic import context

from thale.experiments.models import Table

connection = context.config.attributes["connection"]
# SQLite cannot alter most of a table: Alembic then copies it (batch mode).
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
