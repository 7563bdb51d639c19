"""What each step of a call costs by itself, without sockets: `python -m benchmarks.micro`."""
