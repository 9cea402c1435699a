"""Salus: hospitals, doctors and patients exchange medical records without trusting any one machine."""

__version__ = "0.1.0"
