"""``s2s live``, and ``live=true`` of a training: a page that shows how the training goes."""
