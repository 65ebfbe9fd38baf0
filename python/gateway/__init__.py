"""maskgate: agents query PostgreSQL that holds PHI; access granted, recorded, masked, proven."""
