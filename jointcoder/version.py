"""The program's version, for records and reports; imports nothing, so that every layer may name it."""

__version__ = "0.1.0"
