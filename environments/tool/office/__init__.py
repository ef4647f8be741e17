"""A generated organisation to work in, with ways of its own that nobody tells. See docs/office.md."""
