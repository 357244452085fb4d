"""Figures of the report, drawn by matplotlib as SVG in the page's colors and as PNG files."""
