"""`callsim load`: calls by SIPp at a rate, both sides' figures joined, a report and a verdict."""
