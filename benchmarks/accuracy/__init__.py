"""Recall and precision by entity, beside Presidio, on labelled texts: `make accuracy`."""
