"""SIP user agent stack with a sans-IO core."""
