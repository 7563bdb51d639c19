"""What others wrote and the product takes: is anything known against it."""
