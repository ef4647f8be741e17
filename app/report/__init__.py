"""A run's report: one HTML file and a learning curve, drawn from a `RunReport` and from nothing else."""

from wisen.app.report.plots import learning_curve
from wisen.app.report.read import read_report
from wisen.app.report.render import render_html

__all__ = ["learning_curve", "read_report", "render_html"]
