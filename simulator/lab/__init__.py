"""Simulated neighbours: VXML gateway, agents and caller, each a real SIP endpoint."""
