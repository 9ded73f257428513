"""Benchmarks: each module's `figures()` measures and returns numbers, asserts nothing."""
