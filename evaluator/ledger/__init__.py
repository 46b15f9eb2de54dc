"""Public facts and logs that anyone can verify. Pure, shared with the site, nothing that opens."""
