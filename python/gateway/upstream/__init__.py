"""The PostgreSQL that holds the data, and the embedded one that a demo or a control store runs on."""
