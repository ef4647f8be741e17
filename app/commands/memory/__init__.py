"""`wisen memory`: what the agent remembers, where it comes from, what it is worth, and undo."""

from wisen.app.commands import memory_consolidate  # each adds its commands
from wisen.app.commands.memory import change, files, look, person, serving
from wisen.app.commands.memory.common import app

__all__ = ["app", "change", "files", "look", "memory_consolidate", "person", "serving"]
