"""maskgate: AI agents query PostgreSQL that holds PHI; each access is granted, recorded, masked, provable."""
