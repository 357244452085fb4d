"""The Hydra pipeline: compose -> prepare -> train -> generate -> score -> report."""
