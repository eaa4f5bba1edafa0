"""Outbox: which events a webhook has received, and when the next attempt is due."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns. Events of a former version are too old to be sent after some days, as all others."""
    op.add_column("events", sa.Column("delivered_at", sa.String(length=32), nullable=True))
    op.add_column("events", sa.Column("delivery_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("events", sa.Column("next_delivery_at", sa.Double(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_events_type_created_at"), "events", ["type", "created_at"])
