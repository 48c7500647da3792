"""Files of carriers that were uploaded: looked at, mapped and compared before one is a version."""
