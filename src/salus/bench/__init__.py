"""Measured tables and plots: ``salus bench ...``. Nothing outside this package and the command line imports it."""
