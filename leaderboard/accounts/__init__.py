"""People, the organisations they submit for, and the tokens their programs use."""
