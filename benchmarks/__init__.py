"""Load benchmarks, side by side with SIPp: `python -m benchmarks`, or `make bench`."""
