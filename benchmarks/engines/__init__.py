"""The engines beside ours, one a file."""
