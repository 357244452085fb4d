"""The stage ``diagnose``."""
