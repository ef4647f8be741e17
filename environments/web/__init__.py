"""Web pages as environments: a shared Chromium, pages read through their accessibility tree, acts named by role."""
