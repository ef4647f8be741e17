"""Environments in a process of their own, behind the same protocol."""
