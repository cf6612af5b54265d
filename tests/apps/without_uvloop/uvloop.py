"""Stands before the real package in sys.path and makes it look as if it were not installed."""

raise ModuleNotFoundError("No module named 'uvloop'", name="uvloop")
