"""What evaluators publish and anyone can verify: pure, shared with the site, nothing that opens."""
