"""Looks back: facts into training rows, rows into a registered model, and fills into what they cost."""
