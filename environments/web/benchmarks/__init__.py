"""Benchmarks of others on sites: their task files read, their sites played, their rules applied."""
