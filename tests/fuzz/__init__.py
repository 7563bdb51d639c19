"""Damaged datagrams without end: what makes them, and the runs that take them."""
