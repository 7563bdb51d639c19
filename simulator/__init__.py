"""The call server: calls, legs, transfers, routing, variables, records, configuration."""
