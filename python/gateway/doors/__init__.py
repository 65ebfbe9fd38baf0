"""Doors translate bytes to and from the corridor and decide nothing; a new door adds no path."""
