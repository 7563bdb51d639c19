"""Load and micro benchmarks, side by side with SIPp."""
