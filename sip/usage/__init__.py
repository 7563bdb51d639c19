"""What stands on a dialog: the INVITE usage, and REFER subscriptions (RFC 5057)."""
