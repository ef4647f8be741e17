"""Releases as things that are kept: what one is made of, where it comes from, which is served, and how it travels."""

from wisen.evolution.releases.exporting import export_release
from wisen.evolution.releases.importing import import_release
from wisen.evolution.releases.manifest import Manifest, manifest_of
from wisen.evolution.releases.serving import Served, promote, roll_back

__all__ = ["Manifest", "Served", "export_release", "import_release", "manifest_of", "promote", "roll_back"]
