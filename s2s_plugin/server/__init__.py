"""``s2s serve``: trained models behind HTTP."""
