"""What is done about servers besides switching: they are listed, and looked at for drift."""
