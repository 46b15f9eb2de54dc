"""Programs that run model code or leave the machine. Nothing imports them: a command line starts them."""
