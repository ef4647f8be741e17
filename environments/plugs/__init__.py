"""Plugs: environments of others as suites of ours, and ours as environments of others."""
