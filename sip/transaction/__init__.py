"""Transactions (RFC 3261 section 17, corrected by RFC 6026): four tables of transitions."""
