"""Retention: the last day on which an experiment is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column. Existing experiments are kept until they are deleted."""
    op.add_column("experiments", sa.Column("retain_until", sa.String(length=10), nullable=True))
