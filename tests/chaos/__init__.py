"""A server that is killed, or has no room, while calls go on: what its records say afterwards."""
