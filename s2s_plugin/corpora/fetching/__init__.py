"""Fetch the raw data of a recipe: downloads, packages, and archives unpacked by rules of our own."""
