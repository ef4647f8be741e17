"""sprout, the small backbone that ships with wisen: its weights, its tokenizer and its card lie in this folder.

`wisen.trainers.sprout` makes it, from generated episodes only.
"""

from pathlib import Path

NAME = "sprout"


def folder() -> Path:
    """The checkpoint's folder, in the transformers format, for whatever loads one by its path."""
    return Path(__file__).parent / "weights"
