"""What tests of ringfence, and of what is built on it, need: waiting with a bound, a set clock."""
