"""What leaves for other systems, or comes from them: one module a format."""
