"""Model files: what there is to get, getting it, finding what lies on the disk, and keeping it whole. No torch."""
