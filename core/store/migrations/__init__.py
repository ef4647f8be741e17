"""Alembic migrations. They are run by `Store.open`, never by hand.

A change of `tables.py` needs a new file in `versions/`: `000N_what.py` with `revision`, `down_revision`, `upgrade` and
`downgrade`. A test compares the migrated schema with the tables and fails while they differ.
"""
