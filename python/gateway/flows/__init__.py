"""One journey a file, its steps numbered. Doors call these and decide nothing themselves."""
