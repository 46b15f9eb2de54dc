"""Programs that run model code or call out. Nothing imports them: command lines start them."""
