"""Worlds of text: cooking games, science experiments, a household, puzzles."""
