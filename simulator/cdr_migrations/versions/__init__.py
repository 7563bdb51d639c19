"""One module for each version; what has been released is not changed any more."""
