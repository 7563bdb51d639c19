"""The operations, by tag; each function declares one."""
