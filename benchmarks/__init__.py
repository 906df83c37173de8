"""Benchmarks, a folder per question: `python -m benchmarks.NAME`, as README.md lists them."""
