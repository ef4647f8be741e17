"""Cycles of evolution without anybody there: when one is due, what it may take, and how it goes on after a kill."""
