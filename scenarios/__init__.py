"""Whole call flows and SIPp scenarios, and what runs them."""
