"""What Alembic runs: the versions that are missing, over the connection that it was given."""

from alembic import context

from simulator.cdr_migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
