"""Task folders in Harbor's format."""
