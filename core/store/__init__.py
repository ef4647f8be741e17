"""The store: the one place where what happened is kept. SQLite by default, PostgreSQL by URL."""

from wisen.core.store.store import Store
from wisen.core.store.upgrade import NoStore, OlderSchema

__all__ = ["NoStore", "OlderSchema", "Store"]
