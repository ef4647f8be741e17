"""The commands of `wisen`, one module per group. Each imports what it needs when it runs."""
