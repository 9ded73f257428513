"""Scenario files: situations of real desks, each with what must be true at its end."""
