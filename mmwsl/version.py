"""The version of mmwsl."""

__version__ = '0.1.0'
