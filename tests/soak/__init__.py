"""Calls by the thousand over a bad network, drawn from a seed, and what must hold of them."""
